//! What can go wrong, in the service's terms.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The result of everything that touches the store.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

macro_rules! codes {
    ($($name:ident $status:literal $dfs:literal $dfs_text:literal $(| $blob:literal $blob_text:literal)?;)*) => {
        /// A service error, one name for both faces: DFS and Blob often say the same thing in different words.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "each variant is documented by the message beside it")]
        #[non_exhaustive]
        pub enum ErrorCode { $($name),* }

        impl ErrorCode {
            /// The HTTP status of the answer.
            #[must_use]
            pub fn status(self) -> u16 { match self { $(Self::$name => $status),* } }
            /// The code the DFS endpoint answers.
            #[must_use]
            pub fn dfs(self) -> &'static str { match self { $(Self::$name => $dfs),* } }
            /// The code the Blob endpoint answers.
            #[must_use]
            pub fn blob(self) -> &'static str { match self { $(Self::$name => first(&[$($blob,)? $dfs])),* } }
            /// The message of the DFS endpoint.
            #[must_use]
            pub fn dfs_message(self) -> &'static str { match self { $(Self::$name => $dfs_text),* } }
            /// The message of the Blob endpoint.
            #[must_use]
            pub fn blob_message(self) -> &'static str { match self { $(Self::$name => first(&[$($blob_text,)? $dfs_text])),* } }
        }
    };
}

const fn first(choices: &[&'static str]) -> &'static str {
    choices[0]
}

codes! {
    // 304
    NotModified 304 "ConditionNotMet" "The condition specified using HTTP conditional header(s) is not met.";
    // 400
    AccountRequiresHttps 400 "AccountRequiresHttps" "The account being accessed does not support http.";
    ContentLengthMustBeZero 400 "ContentLengthMustBeZero" "The Content-Length request header must be zero.";
    InvalidAuthenticationInfo 400 "InvalidAuthenticationInfo" "Authentication information is not given in the correct format. Check the value of Authorization header.";
    InvalidFlushPosition 400 "InvalidFlushPosition" "The uploaded data is not contiguous or the position query parameter value is not equal to the length of the file after appending the uploaded data.";
    InvalidHeaderValue 400 "InvalidHeaderValue" "The value for one of the HTTP headers is not in the correct format.";
    InvalidInput 400 "InvalidInput" "One of the request inputs is not valid.";
    InvalidPropertyName 400 "InvalidPropertyName" "A property name cannot be empty." | "EmptyMetadataKey" "The key for one of the metadata key-value pairs is empty.";
    InvalidMetadata 400 "InvalidPropertyName" "A property name is not in the correct format." | "InvalidMetadata" "The metadata specified is invalid. It has characters that are not permitted.";
    MetadataTooLarge 400 "InvalidInput" "The size of the properties exceeds the maximum permitted." | "MetadataTooLarge" "The metadata specified exceeds the maximum permissible limit (8 KB).";
    InvalidQueryParameterValue 400 "InvalidQueryParameterValue" "Value for one of the query parameters specified in the request URI is invalid.";
    OutOfRangeQueryParameterValue 400 "OutOfRangeQueryParameterValue" "One of the query parameters specified in the request URI is outside the permissible range.";
    OutOfRangeInput 400 "OutOfRangeInput" "One of the request inputs is out of range.";
    UnsupportedQueryParameter 400 "UnsupportedQueryParameter" "One of the query parameters specified in the request URI is not supported.";
    MissingRequiredQueryParameter 400 "MissingRequiredQueryParameter" "A query parameter that's mandatory for this request is not specified." | "MissingRequiredQueryParameter" "A required query parameter was not specified for this request.";
    MissingRequiredHeader 400 "MissingRequiredHeader" "An HTTP header that's mandatory for this request is not specified.";
    UnsupportedHeader 400 "UnsupportedHeader" "One of the headers specified in the request is not supported.";
    UnsupportedXmlNode 400 "InvalidInput" "One of the XML nodes specified in the request body is not supported." | "UnsupportedXmlNode" "One of the XML nodes specified in the request body is not supported.";
    InvalidXmlDocument 400 "InvalidInput" "The XML specified in the request body is not valid." | "InvalidXmlDocument" "XML specified is not syntactically valid.";
    InvalidXmlNodeValue 400 "InvalidInput" "The value of an XML node in the request body is not valid." | "InvalidXmlNodeValue" "The value for one of the XML nodes is not in the correct format.";
    InvalidResourceName 400 "InvalidResourceName" "The specified resource name contains invalid characters." | "InvalidResourceName" "The specifed resource name contains invalid characters.";
    InvalidUri 400 "InvalidUri" "The request URI is invalid." | "InvalidUri" "The requested URI does not represent any resource on the server.";
    InvalidSourceUri 400 "InvalidSourceUri" "The source URI is invalid.";
    MultipleConditionHeadersNotSupported 400 "MultipleConditionHeadersNotSupported" "Multiple condition headers are not supported.";
    Md5Mismatch 400 "Md5Mismatch" "The MD5 value specified in the request did not match with the MD5 value calculated by the server.";
    Crc64Mismatch 400 "Crc64Mismatch" "The CRC64 value specified in the request did not match with the CRC64 value calculated by the server.";
    InvalidMd5 400 "InvalidMd5" "The MD5 value specified in the request is invalid. MD5 value must be 128 bits and base64 encoded.";
    HierarchicalNamespaceNotEnabled 400 "HierarchicalNamespaceNotEnabled" "This operation is only supported on a hierarchical namespace account.";
    PathIsTooDeep 400 "PathIsTooDeep" "The path has too many segments: the service allows 63 levels.";
    InvalidBlockId 400 "InvalidBlockId" "The specified block ID is invalid. The block ID must be Base64-encoded.";
    InvalidBlobOrBlock 400 "InvalidBlobOrBlock" "The specified blob or block content is invalid.";
    InvalidBlockList 400 "InvalidBlockList" "The specified block list is invalid.";
    BlockCountExceedsLimit 409 "BlockCountExceedsLimit" "The committed block count cannot exceed the maximum limit of 50,000 blocks.";
    UnsupportedRestVersion 400 "UnsupportedRestVersion" "The specified REST version is unsupported." | "InvalidHeaderValue" "The value for one of the HTTP headers is not in the correct format.";
    SnapshotsPresent 409 "SnapshotsPresent" "This operation is not permitted while the blob has snapshots.";
    // 401, 403
    InvalidBearerToken 401 "InvalidAuthenticationInfo" "Server failed to authenticate the request. Please refer to the information in the www-authenticate header.";
    NoAuthenticationInformation 401 "NoAuthenticationInformation" "Server failed to authenticate the request. Please refer to the information in the www-authenticate header.";
    AuthenticationFailed 403 "AuthenticationFailed" "Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly including the signature.";
    AuthorizationFailure 403 "AuthorizationFailure" "This request is not authorized to perform this operation.";
    AuthorizationPermissionMismatch 403 "AuthorizationPermissionMismatch" "This request is not authorized to perform this operation using this permission.";
    AuthorizationServiceMismatch 403 "AuthorizationServiceMismatch" "This request is not authorized to perform this operation using this service.";
    AuthorizationResourceTypeMismatch 403 "AuthorizationResourceTypeMismatch" "This request is not authorized to perform this operation using this resource type.";
    AuthorizationProtocolMismatch 403 "AuthorizationProtocolMismatch" "This request is not authorized to perform this operation using this protocol.";
    AuthorizationSourceIPMismatch 403 "AuthorizationSourceIPMismatch" "This request is not authorized to perform this operation using this source IP.";
    UnauthorizedCopySource 403 "CannotVerifyCopySource" "This request is not authorized to perform this operation on the copy source.";
    InsufficientAccountPermissions 403 "InsufficientAccountPermissions" "The account being accessed does not have sufficient permissions to execute this operation.";
    UnauthorizedBlobOverwrite 403 "UnauthorizedBlobOverwrite" "This request is not authorized to perform blob overwrites.";
    // 404, 405
    FilesystemNotFound 404 "FilesystemNotFound" "The specified filesystem does not exist." | "ContainerNotFound" "The specified container does not exist.";
    PathNotFound 404 "PathNotFound" "The specified path does not exist." | "BlobNotFound" "The specified blob does not exist.";
    SourcePathNotFound 404 "SourcePathNotFound" "The source path for a rename operation does not exist." | "BlobNotFound" "The specified blob does not exist.";
    CannotVerifyCopySource 404 "CannotVerifyCopySource" "The specified resource does not exist." | "CannotVerifyCopySource" "The specified blob does not exist.";
    RenameDestinationParentPathNotFound 404 "RenameDestinationParentPathNotFound" "The parent directory of the destination path does not exist.";
    ResourceNotFound 404 "ResourceNotFound" "The specified resource does not exist.";
    UnsupportedHttpVerb 405 "UnsupportedHttpVerb" "The resource doesn't support the specified HTTP verb.";
    // 409
    FilesystemAlreadyExists 409 "FilesystemAlreadyExists" "The specified filesystem already exists." | "ContainerAlreadyExists" "The specified container already exists.";
    PathAlreadyExists 409 "PathAlreadyExists" "The specified path already exists." | "BlobAlreadyExists" "The specified blob already exists.";
    PathConflict 409 "PathConflict" "The specified path, or an element of the path, exists and its resource type is invalid for this operation.";
    ResourceTypeMismatch 409 "ResourceTypeMismatch" "The resource type is invalid for this operation.";
    DirectoryNotEmpty 409 "DirectoryNotEmpty" "The recursive query parameter value must be true to delete a non-empty directory." | "DirectoryIsNotEmpty" "This operation is not permitted on a non-empty directory.";
    InvalidRenameSourcePath 409 "InvalidRenameSourcePath" "The source directory cannot be the same as the destination directory, nor can the destination be a subdirectory of the source directory.";
    InvalidSourceOrDestinationResourceType 409 "InvalidSourceOrDestinationResourceType" "The source and destination resource type must be identical.";
    InvalidFlushOperation 409 "InvalidFlushOperation" "The resource was created or modified by the Blob Service API and cannot be written to by the Data Lake Storage Service API.";
    InvalidBlobType 409 "InvalidBlobType" "The blob type is invalid for this operation.";
    SequenceNumberIncrementTooLarge 409 "SequenceNumberIncrementTooLarge" "The sequence number increment cannot be performed because it would result in overflow of the sequence number.";
    PreviousSnapshotCannotBeNewer 400 "PreviousSnapshotCannotBeNewer" "The prevsnapshot query parameter value cannot be newer than snapshot query parameter value.";
    PreviousSnapshotNotFound 409 "PreviousSnapshotNotFound" "The previous snapshot is not found.";
    PreviousSnapshotOperationNotSupported 409 "PreviousSnapshotOperationNotSupported" "Differential Get Page Ranges is not supported on the previous snapshot.";
    BlobUsesCustomerSpecifiedEncryption 409 "BlobUsesCustomerSpecifiedEncryption" "The blob is encrypted with customer specified encryption, but it was not provided in the request.";
    BlobCustomerSpecifiedEncryptionMismatch 409 "BlobCustomerSpecifiedEncryptionMismatch" "The given customer specified encryption does not match the encryption used to encrypt the blob.";
    BlobDoesNotUseCustomerSpecifiedEncryption 409 "BlobDoesNotUseCustomerSpecifiedEncryption" "The blob is not encrypted with customer specified encryption, and it was provided in the request.";
    BlobIsSealed 409 "BlobIsSealed" "The blob is sealed and its contents cannot be modified.";
    NoPendingCopyOperation 409 "NoPendingCopyOperation" "There is currently no pending copy operation.";
    BlobOperationNotSupported 409 "BlobOperationNotSupported" "Blob operation is not supported." | "BlobOperationNotSupported" "The file was written by the Data Lake Storage API; use Put Blob to replace it.";
    LeaseAlreadyPresent 409 "LeaseAlreadyPresent" "There is already a lease present.";
    LeaseIdMismatchWithLeaseOperation 409 "LeaseIdMismatchWithLeaseOperation" "The lease ID specified did not match the lease ID for the resource with the specified lease operation." | "LeaseIdMismatchWithLeaseOperation" "The lease ID specified did not match the lease ID for the blob.";
    LeaseNotPresentWithLeaseOperation 409 "LeaseNotPresentWithLeaseOperation" "The lease ID is not present with the specified lease operation." | "LeaseNotPresentWithLeaseOperation" "There is currently no lease on the blob.";
    LeaseIsBreakingAndCannotBeAcquired 409 "LeaseIsBreakingAndCannotBeAcquired" "The lease ID matched, but the lease is currently in breaking state and cannot be acquired until it is broken.";
    LeaseIsBreakingAndCannotBeChanged 409 "LeaseIsBreakingAndCannotBeChanged" "The lease ID matched, but the lease is currently in breaking state and cannot be changed.";
    LeaseIsBrokenAndCannotBeRenewed 409 "LeaseIsBrokenAndCannotBeRenewed" "The lease ID matched, but the lease has been broken explicitly and cannot be renewed.";
    FeatureNotYetSupportedForHierarchicalNamespaceAccounts 409 "FeatureNotYetSupportedForHierarchicalNamespaceAccounts" "This feature is not supported for accounts with a hierarchical namespace.";
    InternalOperationAbort 409 "InternalOperationAbortError" "The path was changed by other requests again and again while this one ran. Retry it.";
    // 411, 412, 413, 416
    MissingContentLengthHeader 411 "MissingContentLengthHeader" "The content-length header was not specified.";
    ConditionNotMet 412 "ConditionNotMet" "The condition specified using HTTP conditional header(s) is not met.";
    SourceConditionNotMet 412 "SourceConditionNotMet" "The source condition specified using HTTP conditional header(s) is not met.";
    LeaseIdMissing 412 "LeaseIdMissing" "There is currently a lease on the resource and no lease ID was specified in the request." | "LeaseIdMissing" "There is currently a lease on the blob and no lease ID was specified in the request.";
    LeaseIdMismatch 412 "LeaseIdMismatch" "The lease ID specified did not match the lease ID for the resource." | "LeaseIdMismatchWithBlobOperation" "The lease ID specified did not match the lease ID for the blob.";
    LeaseNotPresent 412 "LeaseNotPresent" "There is currently no lease on the resource." | "LeaseNotPresentWithBlobOperation" "There is currently no lease on the blob.";
    LeaseIdMismatchWithContainerOperation 412 "LeaseIdMismatchWithContainerOperation" "The lease ID specified did not match the lease ID for the container.";
    LeaseNotPresentWithContainerOperation 412 "LeaseNotPresentWithContainerOperation" "There is currently no lease on the container.";
    LeaseLost 412 "LeaseLost" "A lease ID was specified, but the lease for the resource has expired." | "LeaseLost" "A lease ID was specified, but the lease for the blob has expired.";
    SequenceNumberConditionNotMet 412 "SequenceNumberConditionNotMet" "The sequence number condition specified was not met.";
    AppendPositionConditionNotMet 412 "AppendPositionConditionNotMet" "The append position condition specified was not met.";
    MaxBlobSizeConditionNotMet 412 "MaxBlobSizeConditionNotMet" "The max blob size condition specified was not met.";
    RequestBodyTooLarge 413 "RequestBodyTooLarge" "The request body is too large and exceeds the maximum permissible limit.";
    InvalidPageRange 416 "InvalidPageRange" "The page range specified is invalid.";
    InvalidRange 416 "InvalidRange" "The range specified is invalid for the current size of the resource.";
    // 500, 501, 503
    InternalError 500 "InternalError" "The server encountered an internal error. Please retry the request.";
    NotImplemented 501 "NotImplemented" "The requested operation is not implemented by this emulator.";
    ServerBusy 503 "ServerBusy" "The server is currently unable to receive requests. Please retry your request.";
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.dfs())
    }
}

/// What a caller can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The filesystem or path is not there: create it, or look at the name.
    NotFound,
    /// Something of that name, or of the wrong type, is in the way.
    Conflict,
    /// A condition or a lease stood against it: read again and decide anew.
    Precondition,
    /// The request itself is wrong; repeating it does not help.
    Invalid,
    /// Not signed, or not allowed.
    Denied,
    /// Stored bytes do not match their checksum: restore the data, keep the folder for examination.
    Corrupt,
    /// The disk failed or the store is poisoned: open it again.
    Unavailable,
}

/// A refusal in the service's terms.
#[derive(Clone, Debug)]
pub struct ServiceError {
    /// Which one.
    pub code: ErrorCode,
    /// Said instead of the code's own message.
    pub message: Option<String>,
    /// More elements of the Blob error body, such as `HeaderName`.
    pub elements: Vec<(&'static str, String)>,
    /// Headers the answer carries beside the error code.
    pub headers: Vec<(&'static str, String)>,
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.message {
            Some(message) => write!(f, "{}: {message}", self.code),
            None => write!(f, "{}: {}", self.code, self.code.dfs_message()),
        }
    }
}

/// Everything the store can fail with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The service's own refusals.
    #[error("{0}")]
    Service(Box<ServiceError>),
    /// The disk or the file system.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The namespace database.
    #[error(
        "the namespace database failed while it should {action}: {reason}; open the store again to go on"
    )]
    Namespace {
        /// What was attempted.
        action: &'static str,
        /// What it said.
        reason: String,
    },
    /// Another process has the folder.
    #[error("{} is in use by another process; stop that one or choose another folder", folder.display())]
    InUse {
        /// The store's folder.
        folder: PathBuf,
    },
    /// Bytes that are not what was written.
    #[error(
        "{what} is corrupt ({detail}); it is not served: restore it from its source and keep the folder for examination"
    )]
    Corrupt {
        /// Which file or record.
        what: String,
        /// How that was noticed.
        detail: String,
    },
    /// An earlier write or sync failed.
    #[error("an earlier write failed ({0}), so nothing more is accepted; open the store again")]
    Poisoned(String),
    /// The store is not encrypted as it was said to be.
    #[error("{0}")]
    Encryption(String),
    /// The caller's reader failed.
    #[error("the data to write could not be read: {0}")]
    Source(io::Error),
}

impl StoreError {
    /// A refusal with the code's own message.
    #[must_use]
    pub fn code(code: ErrorCode) -> Self {
        Self::Service(Box::new(ServiceError {
            code,
            message: None,
            elements: Vec::new(),
            headers: Vec::new(),
        }))
    }

    /// A refusal with a message of its own.
    #[must_use]
    pub fn with_message(code: ErrorCode, message: impl Into<String>) -> Self {
        let message = Some(message.into());
        Self::Service(Box::new(ServiceError {
            code,
            message,
            elements: Vec::new(),
            headers: Vec::new(),
        }))
    }

    /// Names the header at fault, as the service does.
    #[must_use]
    pub fn invalid_header(name: &str, value: &str) -> Self {
        let elements = vec![
            ("HeaderName", name.to_owned()),
            ("HeaderValue", value.to_owned()),
        ];
        Self::Service(Box::new(ServiceError {
            code: ErrorCode::InvalidHeaderValue,
            message: None,
            elements,
            headers: Vec::new(),
        }))
    }

    /// Names the header that is missing.
    #[must_use]
    pub fn missing_header(name: &str) -> Self {
        Self::code(ErrorCode::MissingRequiredHeader).element("HeaderName", name)
    }

    /// Names the query parameter at fault, and why.
    #[must_use]
    pub fn invalid_query(name: &str, value: &str, reason: &str) -> Self {
        Self::code(ErrorCode::InvalidQueryParameterValue)
            .element("QueryParameterName", name)
            .element("QueryParameterValue", value)
            .element("Reason", reason)
    }

    /// Adds an element to the Blob error body.
    #[must_use]
    pub fn element(mut self, name: &'static str, value: &str) -> Self {
        if let Self::Service(service) = &mut self {
            service.elements.push((name, value.to_owned()));
        }
        self
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Self::Service(service) = &mut self {
            service.headers.push((name, value.to_owned()));
        }
        self
    }

    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }

    pub(crate) fn corrupt(what: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Corrupt {
            what: what.into(),
            detail: detail.into(),
        }
    }

    /// The service's code for it; what is not the service's own refusal is an `InternalError`.
    #[must_use]
    pub fn service_code(&self) -> ErrorCode {
        match self {
            Self::Service(service) => service.code,
            Self::Poisoned(_) => ErrorCode::ServerBusy,
            _ => ErrorCode::InternalError,
        }
    }

    /// Whether this is the refusal `code`.
    #[must_use]
    pub fn is(&self, code: ErrorCode) -> bool {
        matches!(self, Self::Service(service) if service.code == code)
    }

    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Service(service) => match service.code.status() {
                404 => ErrorKind::NotFound,
                409 => ErrorKind::Conflict,
                304 | 412 => ErrorKind::Precondition,
                401 | 403 => ErrorKind::Denied,
                500.. => ErrorKind::Unavailable,
                _ => ErrorKind::Invalid,
            },
            Self::Corrupt { .. } => ErrorKind::Corrupt,
            Self::Source(_) | Self::Encryption(_) => ErrorKind::Invalid,
            _ => ErrorKind::Unavailable,
        }
    }
}

impl From<ErrorCode> for StoreError {
    fn from(code: ErrorCode) -> Self {
        Self::code(code)
    }
}
