//! Answers, and errors in the form of each protocol.

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::error::{ErrorCode, StoreError};
use crate::protocol::request::{Face, Request};
use crate::protocol::structured;
use crate::store::content::ContentReader;

const JSON: &str = "application/json;charset=utf-8";
const XML: &str = "application/xml";
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// An answer's body.
pub(crate) enum ReplyBody {
    Empty,
    Bytes(Vec<u8>),
    /// A range of a file as it was opened.
    File {
        reader: Box<ContentReader>,
        offset: u64,
        length: u64,
    },
    /// The same, in segments with checksums.
    Structured {
        reader: Box<ContentReader>,
        offset: u64,
        length: u64,
    },
}

/// An answer.
pub(crate) struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: ReplyBody,
}

impl Reply {
    pub(crate) fn new(status: u16) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: ReplyBody::Empty,
        }
    }

    /// Adds a header. What a header cannot hold is left out.
    pub(crate) fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.set(name, value);
        self
    }

    pub(crate) fn set(&mut self, name: &str, value: impl AsRef<[u8]>) {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_ref())) {
            self.headers.insert(name, value);
        }
    }

    pub(crate) fn with_optional(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    pub(crate) fn json(self, value: &serde_json::Value) -> Self {
        self.json_text(value.to_string().into_bytes())
    }

    /// JSON that was written already.
    pub(crate) fn json_text(mut self, text: Vec<u8>) -> Self {
        self.set("content-type", JSON);
        self.body = ReplyBody::Bytes(text);
        self
    }

    pub(crate) fn xml(mut self, text: &str) -> Self {
        self.set("content-type", XML);
        let declaration = "<?xml version=\"1.0\" encoding=\"utf-8\"?>";
        self.body = ReplyBody::Bytes(format!("{BYTE_ORDER_MARK}{declaration}{text}").into_bytes());
        self
    }

    /// Bytes of the body as they are announced.
    pub(crate) fn length(&self) -> u64 {
        match &self.body {
            ReplyBody::Empty => 0,
            ReplyBody::Bytes(bytes) => bytes.len() as u64,
            ReplyBody::File { length, .. } => *length,
            ReplyBody::Structured { length, .. } => structured::encoded_length(*length),
        }
    }

    /// What every answer carries.
    pub(crate) fn finish(mut self, request: &Request) -> Self {
        self.set("x-ms-request-id", &request.request_id);
        self.set("x-ms-version", &request.version);
        if let Some(id) = &request.client_request_id {
            self.set("x-ms-client-request-id", id);
        }
        let server = match request.face {
            Face::Dfs => "Windows-Azure-HDFS/1.0 lakestage",
            Face::Blob => "Windows-Azure-Blob/1.0 lakestage",
        };
        self.set("server", server);
        self
    }
}

/// The answer to a request that failed.
pub(crate) fn error_reply(error: &StoreError, request: &Request) -> Reply {
    let code = error.service_code();
    if code.status() >= 500 && code != ErrorCode::NotImplemented {
        tracing::error!(%error, method = %request.method, path = request.raw_path, "a request failed");
    }
    let (name, text) = match request.face {
        Face::Dfs => (code.dfs(), code.dfs_message()),
        Face::Blob => (code.blob(), code.blob_message()),
    };
    let mut reply = Reply::new(code.status()).with("x-ms-error-code", name);
    let mut message = text.to_owned();
    let mut elements: &[(&str, String)] = &[];
    if let StoreError::Service(service) = error {
        elements = &service.elements;
        for (header, value) in &service.headers {
            reply.set(header, value);
        }
        if let Some(own) = &service.message {
            message.clone_from(own);
        }
    } else {
        // What the disk said helps whoever runs the emulator.
        message = format!("{message} {error}");
    }
    // What is wrong with the query of a HEAD is not told. Recorded.
    if request.method == Method::HEAD
        && request.face == Face::Blob
        && code == ErrorCode::InvalidQueryParameterValue
    {
        reply.headers.remove("x-ms-error-code");
        return reply;
    }
    refusal(reply, request, name, &message, elements)
}

/// Says in the form of the request's protocol why it failed.
pub(crate) fn refusal(
    mut reply: Reply,
    request: &Request,
    code: &str,
    message: &str,
    elements: &[(&str, String)],
) -> Reply {
    reply.set("x-ms-error-code", code);
    // A HEAD answer with a content type makes one client parse a body that is not there.
    if request.method == Method::HEAD || reply.status == 304 {
        return reply;
    }
    let now = jiff::Timestamp::now();
    let message = format!("{message}\nRequestId:{}\nTime:{now:.7}", request.request_id);
    match request.face {
        Face::Dfs => {
            let mut error = serde_json::json!({ "code": code, "message": message });
            for (element, value) in elements
                .iter()
                .filter(|(element, _)| *element == "AuthenticationErrorDetail")
            {
                error["detail"] = serde_json::json!({ *element: value });
            }
            reply.json(&serde_json::json!({ "error": error }))
        }
        Face::Blob => {
            let mut xml = format!(
                "<Error><Code>{code}</Code><Message>{}</Message>",
                escape(&message)
            );
            for (element, value) in elements {
                xml.push_str(&format!("<{element}>{}</{element}>", escape(value)));
            }
            xml.push_str("</Error>");
            reply.xml(&xml)
        }
    }
}

/// Text within XML.
pub(crate) fn escape(text: &str) -> String {
    quick_xml::escape::escape(text).into_owned()
}
