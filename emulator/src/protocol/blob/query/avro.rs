//! The frame of an answer: an Avro object container file of four kinds of records, as the clients of the service read
//! it. Only writing is needed, and of the format no more than this.

const SCHEMA: &str = r#"[{"type":"record","name":"com.microsoft.azure.storage.queryBlobContents.resultData","fields":[{"name":"data","type":"bytes"}]},{"type":"record","name":"com.microsoft.azure.storage.queryBlobContents.error","fields":[{"name":"fatal","type":"boolean"},{"name":"name","type":"string"},{"name":"description","type":"string"},{"name":"position","type":"long"}]},{"type":"record","name":"com.microsoft.azure.storage.queryBlobContents.progress","fields":[{"name":"bytesScanned","type":"long"},{"name":"totalBytes","type":"long"}]},{"type":"record","name":"com.microsoft.azure.storage.queryBlobContents.end","fields":[{"name":"totalBytes","type":"long"}]}]"#;

/// Places of the records in the schema's union.
const RESULT_DATA: i64 = 0;
const ERROR: i64 = 1;
const PROGRESS: i64 = 2;
const END: i64 = 3;

/// What was wrong with a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RowError {
    pub(super) is_fatal: bool,
    pub(super) name: &'static str,
    pub(super) description: String,
    /// Where the row begins in the blob.
    pub(super) position: u64,
}

/// An answer on its way.
pub(super) struct AvroFile {
    out: Vec<u8>,
    sync: [u8; 16],
}

impl AvroFile {
    pub(super) fn new() -> Self {
        let mut file = Self {
            out: b"Obj\x01".to_vec(),
            sync: uuid::Uuid::new_v4().into_bytes(),
        };
        put_long(&mut file.out, 2);
        for (name, value) in [("avro.codec", "null"), ("avro.schema", SCHEMA)] {
            put_bytes(&mut file.out, name.as_bytes());
            put_bytes(&mut file.out, value.as_bytes());
        }
        put_long(&mut file.out, 0);
        file.out.extend_from_slice(&file.sync);
        file
    }

    /// A block of one record.
    fn block(&mut self, record: &[u8]) {
        put_long(&mut self.out, 1);
        put_bytes(&mut self.out, record);
        self.out.extend_from_slice(&self.sync);
    }

    /// Whole rows of the result.
    pub(super) fn data(&mut self, rows: &[u8]) {
        let mut record = Vec::with_capacity(rows.len() + 8);
        put_long(&mut record, RESULT_DATA);
        put_bytes(&mut record, rows);
        self.block(&record);
    }

    /// Something went wrong with the row at that place of the blob; if it is fatal, nothing behind it was read.
    pub(super) fn error(&mut self, error: &RowError) {
        let mut record = Vec::new();
        put_long(&mut record, ERROR);
        record.push(u8::from(error.is_fatal));
        put_bytes(&mut record, error.name.as_bytes());
        put_bytes(&mut record, error.description.as_bytes());
        put_long(
            &mut record,
            i64::try_from(error.position).unwrap_or(i64::MAX),
        );
        self.block(&record);
    }

    /// Says how much was read of how much, and ends.
    pub(super) fn finish(mut self, scanned_bytes: u64, total_bytes: u64) -> Vec<u8> {
        let long = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        let mut progress = Vec::new();
        put_long(&mut progress, PROGRESS);
        put_long(&mut progress, long(scanned_bytes));
        put_long(&mut progress, long(total_bytes));
        self.block(&progress);
        let mut end = Vec::new();
        put_long(&mut end, END);
        put_long(&mut end, long(total_bytes));
        self.block(&end);
        self.out
    }
}

/// Zigzag, seven bits a byte.
fn put_long(out: &mut Vec<u8>, value: i64) {
    let mut left = ((value << 1) ^ (value >> 63)) as u64;
    while left >= 0x80 {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_long(out, bytes.len() as i64);
    out.extend_from_slice(bytes);
}
