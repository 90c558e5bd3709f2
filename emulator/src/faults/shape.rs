//! Answers whose bodies come slowly, damaged, or not to their end.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::Frame;
use hyper::header::CONTENT_LENGTH;
use tokio::sync::mpsc;

use crate::serve::{AnswerBody, piecewise};

/// A slow body comes so many times a second.
const STEPS_A_SECOND: u32 = 10;
/// Headers that say what a body's checksum is.
const CHECKSUMS: [&str; 2] = ["content-md5", "x-ms-content-crc64"];

type Sender = mpsc::Sender<io::Result<Frame<Bytes>>>;

/// Runs a body through a task of its own.
fn through<F>(
    response: Response<AnswerBody>,
    work: impl FnOnce(AnswerBody, Sender) -> F,
) -> Response<AnswerBody>
where
    F: Future<Output = ()> + Send + 'static,
{
    let (head, body) = response.into_parts();
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(work(body, sender));
    Response::from_parts(head, piecewise(receiver))
}

async fn next_chunk(body: &mut AnswerBody) -> Option<io::Result<Bytes>> {
    loop {
        match body.frame().await? {
            Err(error) => return Some(Err(error)),
            Ok(frame) => {
                if let Ok(data) = frame.into_data() {
                    return Some(Ok(data));
                }
            }
        }
    }
}

/// Ends the body, and with it the connection, after so many bytes.
pub(super) fn truncate(response: Response<AnswerBody>, mut left: u64) -> Response<AnswerBody> {
    through(response, move |mut body, sender| async move {
        while let Some(Ok(mut chunk)) = next_chunk(&mut body).await {
            let take = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
            let is_last = take < chunk.len();
            chunk.truncate(take);
            left -= take as u64;
            // Nobody listens when a send fails.
            if (take > 0 && sender.send(Ok(Frame::data(chunk))).await.is_err()) || is_last {
                break;
            }
        }
        let _ = sender
            .send(Err(io::Error::other("cut off on purpose")))
            .await;
    })
}

/// Lets the body come with so many bytes a second.
pub(super) fn slow_down(
    response: Response<AnswerBody>,
    bytes_per_second: u32,
) -> Response<AnswerBody> {
    let step = (bytes_per_second / STEPS_A_SECOND).max(1);
    let pause = Duration::from_secs_f64(f64::from(step) / f64::from(bytes_per_second.max(1)));
    through(response, move |mut body, sender| async move {
        while let Some(chunk) = next_chunk(&mut body).await {
            let mut chunk = match chunk {
                Ok(chunk) => chunk,
                Err(error) => {
                    let _ = sender.send(Err(error)).await;
                    return;
                }
            };
            while !chunk.is_empty() {
                let piece = chunk.split_to(chunk.len().min(step as usize));
                tokio::time::sleep(pause).await;
                if sender.send(Ok(Frame::data(piece))).await.is_err() {
                    return;
                }
            }
        }
    })
}

/// Flips a bit of the body's last byte; without a body, of its checksums.
pub(super) fn damage(mut response: Response<AnswerBody>) -> Response<AnswerBody> {
    let length = response
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.unwrap_or(0) == 0 {
        for name in CHECKSUMS {
            if let Some(value) = response.headers_mut().get_mut(name) {
                *value = http::HeaderValue::from_static("AAAAAAAAAAAAAAAAAAAAAA==");
            }
        }
        return response;
    }
    through(response, |mut body, sender| async move {
        let mut held: Option<Bytes> = None;
        while let Some(chunk) = next_chunk(&mut body).await {
            let next = match chunk {
                Ok(chunk) if chunk.is_empty() => continue,
                Ok(chunk) => held.replace(chunk).map(|chunk| Ok(Frame::data(chunk))),
                Err(error) => Some(Err(error)),
            };
            if let Some(next) = next
                && sender.send(next).await.is_err()
            {
                return;
            }
        }
        let Some(last) = held else { return };
        let mut last = BytesMut::from(&last[..]);
        if let Some(byte) = last.last_mut() {
            *byte ^= 1;
        }
        let _ = sender.send(Ok(Frame::data(last.freeze()))).await;
    })
}
