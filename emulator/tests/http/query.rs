//! Query Blob Contents, with a reader of the answer's frame that is apart from the server's code.

use crate::client::{Answer, Lake};

const PEOPLE: &str = "id,name,Age\n1,Ada,36\n2,\"Bob, the \"\"first\"\"\",\n3,Cleo,7\n4,dora,36\n";

/// What a query is wrapped in; the formats are XML of their own.
fn body(sql: &str, input: &str, output: &str) -> String {
    let sql = sql.replace('&', "&amp;").replace('<', "&lt;");
    let part = |name: &str, format: &str| match format {
        "" => String::new(),
        format => format!("<{name}><Format>{format}</Format></{name}>"),
    };
    format!(
        "<?xml version=\"1.0\"?><QueryRequest><QueryType>SQL</QueryType><Expression>{sql}</Expression>{}{}</QueryRequest>",
        part("InputSerialization", input),
        part("OutputSerialization", output)
    )
}

fn delimited(settings: &str) -> String {
    format!(
        "<Type>delimited</Type><DelimitedTextConfiguration>{settings}</DelimitedTextConfiguration>"
    )
}

const JSON: &str = "<Type>json</Type><JsonTextConfiguration><RecordSeparator>\n</RecordSeparator></JsonTextConfiguration>";

fn ask(lake: &Lake, content: &str, body: &str) -> Answer {
    lake.file("/raw/rows", content.as_bytes());
    lake.blob("POST", "/raw/rows?comp=query", &[], body.as_bytes())
}

/// What the frame of an answer has.
struct Framed {
    /// Of all records.
    data: Vec<u8>,
    /// Whether fatal, name, description, place.
    errors: Vec<(bool, String, String, i64)>,
    /// At the end.
    numbers: Vec<i64>,
}

/// Reads the frame: the data of all records, and the numbers at the end.
fn unframed(answer: &Answer) -> (String, Vec<i64>) {
    let framed = frame(answer);
    assert_eq!(framed.errors, []);
    (String::from_utf8(framed.data).unwrap(), framed.numbers)
}

fn frame(answer: &Answer) -> Framed {
    let mut rest = &answer.body[..];
    assert_eq!(take(&mut rest, 4), b"Obj\x01");
    loop {
        let entries = long(&mut rest);
        if entries == 0 {
            break;
        }
        for _ in 0..entries * 2 {
            let length = long(&mut rest);
            take(&mut rest, length as usize);
        }
    }
    let sync = take(&mut rest, 16).to_vec();
    let (mut data, mut errors, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
    while !rest.is_empty() {
        assert_eq!(long(&mut rest), 1);
        let length = long(&mut rest);
        let mut record = take(&mut rest, length as usize);
        match long(&mut record) {
            0 => {
                let length = long(&mut record);
                data.extend_from_slice(take(&mut record, length as usize));
            }
            1 => {
                let is_fatal = take(&mut record, 1) == [1];
                let mut text = || {
                    let length = long(&mut record);
                    String::from_utf8(take(&mut record, length as usize).to_vec()).unwrap()
                };
                let (name, description) = (text(), text());
                errors.push((is_fatal, name, description, long(&mut record)));
            }
            _ => {
                while !record.is_empty() {
                    numbers.push(long(&mut record));
                }
            }
        }
        assert!(record.is_empty());
        assert_eq!(take(&mut rest, 16), sync);
    }
    Framed {
        data,
        errors,
        numbers,
    }
}

fn take<'b>(rest: &mut &'b [u8], length: usize) -> &'b [u8] {
    let (taken, left) = rest.split_at(length);
    *rest = left;
    taken
}

fn long(rest: &mut &[u8]) -> i64 {
    let mut value = 0_u64;
    for shift in (0..).step_by(7) {
        let byte = take(rest, 1)[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// The rows that a query gives of the people, whose first row is a header.
fn people(sql: &str) -> String {
    let lake = Lake::with_raw();
    let body = body(sql, &delimited("<HasHeaders>true</HasHeaders>"), "");
    unframed(&ask(&lake, PEOPLE, &body).expect(200)).0
}

#[test]
fn a_query_picks_columns_and_rows_of_delimited_text() {
    let lake = Lake::with_raw();
    let plain = body("select _2 from BlobStorage where _1 = '2'", "", "");
    let answer = ask(&lake, "1,a\n2,b\n", &plain).expect(200);
    assert_eq!(answer.header("content-type"), "avro/binary");
    assert_eq!(unframed(&answer), ("b\n".to_owned(), vec![8, 8, 8]));

    assert_eq!(
        people("SELECT NAME, \"Age\" FROM BlobStorage WHERE id = 1"),
        "Ada,36\n"
    );
    assert_eq!(
        people("SELECT \"name\" FROM BlobStorage WHERE \"NAME\" IS NULL LIMIT 1"),
        "Ada\n"
    );
    assert_eq!(
        people("SELECT * FROM BlobStorage WHERE name LIKE 'Bob%'"),
        "2,\"Bob, the \"\"first\"\"\",\n"
    );
    assert_eq!(
        people("SELECT id FROM BlobStorage WHERE age > 7 AND NOT (name = 'Ada')"),
        "4\n"
    );
    assert_eq!(
        people("SELECT id FROM BlobStorage WHERE CAST(Age AS INT) < 10 OR id IN (1, 9)"),
        "1\n3\n"
    );
    assert_eq!(
        people("SELECT id FROM BlobStorage WHERE id BETWEEN 2 AND 3 LIMIT 1"),
        "2\n"
    );
    assert_eq!(people("SELECT id FROM BlobStorage WHERE age <> 36"), "3\n");
}

#[test]
fn aggregates_are_of_the_rows_that_were_picked() {
    assert_eq!(people("SELECT COUNT(*) FROM BlobStorage"), "4\n");
    assert_eq!(
        people(
            "SELECT count(*), SUM(Age), AVG(Age), MIN(CAST(Age AS INT)), MAX(name) FROM BlobStorage WHERE id <> 2"
        ),
        "3,79,26.333333333333332,7,dora\n"
    );
    assert_eq!(
        people("SELECT SUM(Age) FROM BlobStorage WHERE id = 9"),
        "\"\"\n"
    );
}

#[test]
fn json_lines_are_queried_and_answered() {
    let lake = Lake::with_raw();
    let rows = "{\"a\":{\"b\":5},\"c\":\"x\"}\n{\"a\":{\"b\":7},\"c\":null}\n";
    let query = |sql: &str, output: &str| {
        unframed(&ask(&lake, rows, &body(sql, JSON, output)).expect(200)).0
    };
    assert_eq!(
        query("SELECT a.b FROM BlobStorage[*] WHERE a.b > 5", ""),
        "{\"b\":7}\n"
    );
    assert_eq!(
        query("SELECT * FROM BlobStorage WHERE c IS NULL", ""),
        "{\"a\":{\"b\":7},\"c\":null}\n"
    );
    let output = delimited(
        "<ColumnSeparator>;</ColumnSeparator><RecordSeparator>|</RecordSeparator><HasHeaders>true</HasHeaders>",
    );
    assert_eq!(
        query("SELECT c, a.b FROM BlobStorage", &output),
        "c;b|x;5|;7|"
    );
}

#[test]
fn a_query_that_is_not_understood_is_refused_with_what_is_wrong() {
    let lake = Lake::with_raw();
    for (sql, reason) in [
        ("SELECT", "no value"),
        ("SELECT _1 FROM other", "BlobStorage"),
        ("SELECT _1 FROM BlobStorage WHERE _1 = 'a", "not closed"),
        ("SELECT _1 + 1 FROM BlobStorage", "not understood"),
        ("SELECT COUNT(*), _1 FROM BlobStorage", "do not go together"),
        ("SELECT UPPER(_1) FROM BlobStorage", "UPPER"),
        ("DELETE FROM BlobStorage", "SELECT"),
    ] {
        let answer = ask(&lake, "1\n", &body(sql, "", "")).expect_error(400, "InvalidInput");
        assert!(answer.text().contains(reason), "{}", answer.text());
    }
    let deep = format!(
        "SELECT _1 FROM BlobStorage WHERE {}_1 = 1",
        "(".repeat(10_000)
    );
    ask(&lake, "1\n", &body(&deep, "", "")).expect_error(400, "InvalidInput");
    let parquet = body("SELECT * FROM BlobStorage", "<Type>parquet</Type>", "");
    ask(&lake, "1\n", &parquet).expect(501);
}

#[test]
fn json_that_cannot_be_read_ends_the_answer_with_its_place() {
    let lake = Lake::with_raw();
    let sql = body("SELECT a FROM BlobStorage", JSON, "");
    let rows = "{\"a\":1}{\"a\":2}\n{b: 3}\n{\"a\":4}\n";
    let framed = frame(&ask(&lake, rows, &sql).expect(200));
    assert_eq!(framed.data, b"{\"a\":1}\n{\"a\":2}\n");
    let told = "Unexpected token 'b' at [byte: 1]. Expecting token '\"'. ";
    let error = (true, "ParseError".to_owned(), told.to_owned(), 15);
    assert_eq!(framed.errors, [error]);
    assert_eq!(framed.numbers, [30, 30, 30]);

    let old = [("x-ms-version", "2019-12-12")];
    let answer = lake.blob("POST", "/raw/rows?comp=query", &old, sql.as_bytes());
    let (_, name, told, _) = frame(&answer.expect(200)).errors.remove(0);
    assert_eq!(
        (&*name, &*told),
        ("InternalError", "Internal parse exception.")
    );
}

#[test]
fn a_row_that_ends_before_a_column_is_left_out_and_told() {
    let lake = Lake::with_raw();
    let sql = body(
        "SELECT Age FROM BlobStorage",
        &delimited("<HasHeaders>true</HasHeaders>"),
        "",
    );
    let framed =
        frame(&ask(&lake, "id,name,Age\r\n1,Ada,36\r\n2\r\n3,Cleo,7\r\n", &sql).expect(200));
    assert_eq!(framed.data, b"36\n7\n");
    let told = "Column ordinal does not exist in row.".to_owned();
    assert_eq!(
        framed.errors,
        [(false, "InvalidColumnOrdinal".to_owned(), told, 23)]
    );
    // What an object does not have is not in the answer, and no error.
    let sql = body("SELECT a FROM BlobStorage", JSON, "");
    let answer = ask(&lake, "{\"a\":null}\n{}\n", &sql).expect(200);
    assert_eq!(unframed(&answer).0, "{\"a\":null}\n{}\n");
}

#[test]
fn rows_are_answered_as_arrow_with_the_columns_that_are_described() {
    let lake = Lake::with_raw();
    let field = |kind: &str, name: &str, more: &str| {
        format!("<Field><Type>{kind}</Type><Name>{name}</Name>{more}</Field>")
    };
    let fields = [
        field("int64", "id", ""),
        field("string", "name", ""),
        field("double", "size", ""),
        field(
            "decimal",
            "price",
            "<Precision>4</Precision><Scale>2</Scale>",
        ),
        field("bool", "is", ""),
        field("timestamp[ms]", "at", ""),
    ];
    let output = |fields: &str| {
        format!(
            "<Type>arrow</Type><ArrowConfiguration><Schema>{fields}</Schema></ArrowConfiguration>"
        )
    };
    let rows = "1,a,0.5,4.50,true,2024-01-01T00:00:00Z\n2,,x,400,no,\n";
    let sql = body("SELECT * FROM BlobStorage", "", &output(&fields.concat()));
    let framed = frame(&ask(&lake, rows, &sql).expect(200));
    let mut reader =
        arrow::ipc::reader::StreamReader::try_new(std::io::Cursor::new(framed.data), None).unwrap();
    let batch = reader.next().unwrap().unwrap();
    assert!(reader.next().is_none());
    let text = |column: usize, row: usize| {
        arrow::util::display::array_value_to_string(batch.column(column), row).unwrap()
    };
    let read: Vec<[String; 2]> = (0..6)
        .map(|column| [text(column, 0), text(column, 1)])
        .collect();
    assert_eq!(
        read,
        [
            ["1", "2"],
            ["a", ""],
            ["0.5", ""],
            ["4.50", "4.00"],
            ["true", ""],
            ["2024-01-01T00:00:00", ""]
        ]
    );
    assert_eq!(batch.schema().field(3).name(), "price");

    for (sql, fields, reason) in [
        ("SELECT * FROM BlobStorage", String::new(), "fields"),
        (
            "SELECT _1, _2 FROM BlobStorage",
            field("int64", "a", ""),
            "describes 1",
        ),
        (
            "SELECT _1 FROM BlobStorage",
            field("date", "a", ""),
            "no type date",
        ),
        (
            "SELECT _1 FROM BlobStorage",
            field("decimal", "a", ""),
            "Precision",
        ),
    ] {
        let sql = body(sql, "", &output(&fields));
        let answer = ask(&lake, "1,2\n", &sql).expect_error(400, "InvalidInput");
        assert!(answer.text().contains(reason), "{}", answer.text());
    }
}
