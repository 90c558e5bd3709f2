//! One row change inside a commit.
//!
//! ```text
//! u8 operation | u16 table | u128 id | i64 created (MIN = none)                 both
//! u32 version offset (MAX = none) | u32 length | cells                          put
//! ```
//! All integers are little-endian.

use crate::clock::Ticks;

const PUT_NEW: u8 = 1;
const PUT_EXISTING: u8 = 2;
const DELETE: u8 = 3;

/// A change of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    /// The table's number within the environment.
    pub table: u16,
    pub id: u128,
    /// `createdon` of the row; of a deleted row, what it was. It decides the partition.
    pub created: Option<Ticks>,
    pub operation: Operation<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation<'a> {
    Put {
        /// Whether the row existed before, so that `SinkCreatedOn` stays.
        existed: bool,
        /// The cells after the system columns.
        cells: &'a [u8],
        /// Where the version belongs in the cells.
        version_offset: Option<u32>,
    },
    Delete,
}

impl<'a> Record<'a> {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let kind = match self.operation {
            Operation::Put { existed: false, .. } => PUT_NEW,
            Operation::Put { existed: true, .. } => PUT_EXISTING,
            Operation::Delete => DELETE,
        };
        out.push(kind);
        out.extend_from_slice(&self.table.to_le_bytes());
        out.extend_from_slice(&self.id.to_le_bytes());
        out.extend_from_slice(&self.created.unwrap_or(i64::MIN).to_le_bytes());
        if let Operation::Put {
            cells,
            version_offset,
            ..
        } = self.operation
        {
            out.extend_from_slice(&version_offset.unwrap_or(u32::MAX).to_le_bytes());
            out.extend_from_slice(&(cells.len() as u32).to_le_bytes());
            out.extend_from_slice(cells);
        }
    }

    /// Decodes the record at `at`, and tells where the next one starts. `None` if the bytes are not
    /// a record.
    pub(crate) fn decode(payload: &'a [u8], at: usize) -> Option<(Record<'a>, usize)> {
        let mut input = Input { payload, at };
        let kind = input.array::<1>()?[0];
        let table = u16::from_le_bytes(input.array()?);
        let id = u128::from_le_bytes(input.array()?);
        let created = i64::from_le_bytes(input.array()?);
        let operation = match kind {
            DELETE => Operation::Delete,
            PUT_NEW | PUT_EXISTING => {
                let version_offset = u32::from_le_bytes(input.array()?);
                let length = u32::from_le_bytes(input.array()?);
                let cells = input.bytes(length as usize)?;
                if version_offset != u32::MAX && version_offset > length {
                    return None;
                }
                Operation::Put {
                    existed: kind == PUT_EXISTING,
                    cells,
                    version_offset: (version_offset != u32::MAX).then_some(version_offset),
                }
            }
            _ => return None,
        };
        let record = Record {
            table,
            id,
            created: (created != i64::MIN).then_some(created),
            operation,
        };
        Some((record, input.at))
    }
}

struct Input<'a> {
    payload: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(length)?;
        let bytes = self.payload.get(self.at..end)?;
        self.at = end;
        Some(bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }
}

/// The records of a payload with their offsets. It ends early if the bytes are damaged, which the
/// commit's checksum has ruled out.
pub(crate) struct Records<'a> {
    payload: &'a [u8],
    at: usize,
}

impl<'a> Records<'a> {
    pub(crate) fn of(payload: &'a [u8]) -> Self {
        Records { payload, at: 0 }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = (usize, Record<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.at;
        let (record, next) = Record::decode(self.payload, at)?;
        self.at = next;
        Some((at, record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_as_they_went_in() {
        let put = Record {
            table: 7,
            id: u128::MAX - 1,
            created: Some(-5),
            operation: Operation::Put {
                existed: true,
                cells: b"1,\"a\"",
                version_offset: Some(2),
            },
        };
        let delete = Record {
            table: 8,
            id: 1,
            created: None,
            operation: Operation::Delete,
        };
        let mut payload = Vec::new();
        put.encode(&mut payload);
        delete.encode(&mut payload);
        let back: Vec<_> = Records::of(&payload).map(|(_, record)| record).collect();
        assert_eq!(back, [put, delete]);
        for cut in 1..payload.len() {
            assert!(Records::of(&payload[..cut]).count() < 2);
        }
    }
}
