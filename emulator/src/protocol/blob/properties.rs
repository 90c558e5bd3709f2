//! Get and Set Blob Service Properties.

use crate::error::{ErrorCode, Result};
use crate::protocol::blob::xml::{Element, XmlText, elements};
use crate::protocol::common::Call;
use crate::protocol::reply::Reply;
use crate::store::service::{
    CorsRule, Logging, Metrics, Retention, ServiceProperties, StaticWebsite,
};

const DOCUMENT_MAX_BYTES: u64 = 64 * 1024;
const CORS_RULES_MAX: usize = 5;
const RETENTION_DAYS_MAX: u32 = 365;
const ROOT: &str = "StorageServiceProperties";

fn retention(xml: &mut XmlText, retention: &Retention) {
    xml.text("Enabled", &retention.enabled.to_string());
    if let (true, Some(days)) = (retention.enabled, retention.days) {
        xml.text("Days", &days.to_string());
    }
}

fn metrics(xml: &mut XmlText, name: &str, metrics: &Metrics) {
    xml.open(name)
        .text("Version", &metrics.version)
        .text("Enabled", &metrics.enabled.to_string());
    if let (true, Some(include)) = (metrics.enabled, metrics.include_apis) {
        xml.text("IncludeAPIs", &include.to_string());
    }
    xml.open("RetentionPolicy");
    retention(xml, &metrics.retention);
    xml.close("RetentionPolicy").close(name);
}

fn document(properties: &ServiceProperties) -> String {
    let mut xml = XmlText::default();
    let logging = &properties.logging;
    xml.open(ROOT)
        .open("Logging")
        .text("Version", &logging.version)
        .text("Read", &logging.read.to_string())
        .text("Write", &logging.write.to_string())
        .text("Delete", &logging.delete.to_string())
        .open("RetentionPolicy");
    retention(&mut xml, &logging.retention);
    xml.close("RetentionPolicy").close("Logging");
    metrics(&mut xml, "HourMetrics", &properties.hour_metrics);
    metrics(&mut xml, "MinuteMetrics", &properties.minute_metrics);
    xml.open("Cors");
    for rule in &properties.cors {
        xml.open("CorsRule")
            .text("AllowedMethods", &rule.methods)
            .text("AllowedOrigins", &rule.origins)
            .text("AllowedHeaders", &rule.allowed_headers)
            .text("ExposedHeaders", &rule.exposed_headers)
            .text("MaxAgeInSeconds", &rule.max_age_s.to_string())
            .close("CorsRule");
    }
    xml.close("Cors").open("DeleteRetentionPolicy");
    retention(&mut xml, &properties.delete_retention);
    if properties.delete_retention.enabled {
        xml.text("AllowPermanentDelete", "false");
    }
    xml.close("DeleteRetentionPolicy");
    website(&mut xml, &properties.static_website);
    if let Some(version) = &properties.default_version {
        xml.text("DefaultServiceVersion", version);
    }
    xml.close(ROOT);
    xml.finish()
}

fn website(xml: &mut XmlText, website: &StaticWebsite) {
    xml.open("StaticWebsite")
        .text("Enabled", &website.enabled.to_string());
    for (name, value) in [
        ("IndexDocument", &website.index_document),
        ("ErrorDocument404Path", &website.error_document),
        ("DefaultIndexDocumentPath", &website.default_index_path),
    ] {
        if let (true, Some(value)) = (website.enabled, value) {
            xml.text(name, value);
        }
    }
    xml.close("StaticWebsite");
}

pub(super) fn get(call: &Call<'_>) -> Result<Reply> {
    let properties = call.store.service_properties(&call.request.account)?;
    Ok(Reply::new(200).xml(&document(&properties)))
}

/// Sections that the document has replace those that are kept; the others stay.
pub(super) fn set(call: &mut Call<'_>) -> Result<Reply> {
    let body = call.body.read_all(DOCUMENT_MAX_BYTES)?;
    let found = elements(&body)?;
    if found.last().is_none_or(|root| root.path != [ROOT]) {
        return Err(ErrorCode::InvalidXmlDocument.into());
    }
    call.store
        .change_service_properties(&call.request.account, |properties| {
            apply(&found, properties)
        })?;
    Ok(Reply::new(202))
}

fn apply(found: &[Element], properties: &mut ServiceProperties) -> Result<()> {
    let mut rule = CorsRule::default();
    for section in found.iter().filter(|element| element.path.len() == 2) {
        match section.name() {
            "Logging" => properties.logging = Logging::default(),
            "HourMetrics" => properties.hour_metrics = Metrics::default(),
            "MinuteMetrics" => properties.minute_metrics = Metrics::default(),
            "Cors" => properties.cors.clear(),
            "DeleteRetentionPolicy" => properties.delete_retention = Retention::default(),
            "StaticWebsite" => properties.static_website = StaticWebsite::default(),
            "DefaultServiceVersion" => properties.default_version = Some(section.text.clone()),
            _ => return Err(ErrorCode::UnsupportedXmlNode.into()),
        }
    }
    for element in found.iter().filter(|element| element.path.len() > 2) {
        let names: Vec<&str> = element.path.iter().skip(1).map(String::as_str).collect();
        let text = element.text.trim();
        match *names.as_slice() {
            ["Logging", ref rest @ ..] => logging(&mut properties.logging, rest, text)?,
            ["HourMetrics", ref rest @ ..] => {
                set_metrics(&mut properties.hour_metrics, rest, text)?
            }
            ["MinuteMetrics", ref rest @ ..] => {
                set_metrics(&mut properties.minute_metrics, rest, text)?;
            }
            ["Cors", "CorsRule"] => properties.cors.push(std::mem::take(&mut rule)),
            ["Cors", "CorsRule", name] => cors(&mut rule, name, text)?,
            ["DeleteRetentionPolicy", name] => {
                set_retention(&mut properties.delete_retention, name, text)?;
            }
            ["StaticWebsite", name] => set_website(&mut properties.static_website, name, text)?,
            _ => return Err(ErrorCode::UnsupportedXmlNode.into()),
        }
    }
    let retentions = [
        &properties.logging.retention,
        &properties.hour_metrics.retention,
        &properties.minute_metrics.retention,
        &properties.delete_retention,
    ];
    // Who wants something kept says for how long.
    let complete = |retention: &&Retention| !retention.enabled || retention.days.is_some();
    match properties.cors.len() <= CORS_RULES_MAX && retentions.iter().all(complete) {
        true => Ok(()),
        false => Err(ErrorCode::InvalidXmlDocument.into()),
    }
}

fn flag(text: &str) -> Result<bool> {
    text.parse()
        .map_err(|_| ErrorCode::InvalidXmlNodeValue.into())
}

fn set_retention(retention: &mut Retention, name: &str, text: &str) -> Result<()> {
    match name {
        "Enabled" => retention.enabled = flag(text)?,
        "Days" => match text.parse() {
            Ok(days) if (1..=RETENTION_DAYS_MAX).contains(&days) => retention.days = Some(days),
            _ => return Err(ErrorCode::InvalidXmlDocument.into()),
        },
        "AllowPermanentDelete" if !flag(text)? => {}
        _ => return Err(ErrorCode::UnsupportedXmlNode.into()),
    }
    Ok(())
}

fn logging(logging: &mut Logging, names: &[&str], text: &str) -> Result<()> {
    match *names {
        ["Version"] => text.clone_into(&mut logging.version),
        ["Read"] => logging.read = flag(text)?,
        ["Write"] => logging.write = flag(text)?,
        ["Delete"] => logging.delete = flag(text)?,
        ["RetentionPolicy"] => {}
        ["RetentionPolicy", name] => set_retention(&mut logging.retention, name, text)?,
        _ => return Err(ErrorCode::UnsupportedXmlNode.into()),
    }
    Ok(())
}

fn set_metrics(metrics: &mut Metrics, names: &[&str], text: &str) -> Result<()> {
    match *names {
        ["Version"] => text.clone_into(&mut metrics.version),
        ["Enabled"] => metrics.enabled = flag(text)?,
        ["IncludeAPIs"] => metrics.include_apis = Some(flag(text)?),
        ["RetentionPolicy"] => {}
        ["RetentionPolicy", name] => set_retention(&mut metrics.retention, name, text)?,
        _ => return Err(ErrorCode::UnsupportedXmlNode.into()),
    }
    Ok(())
}

fn cors(rule: &mut CorsRule, name: &str, text: &str) -> Result<()> {
    match name {
        "AllowedMethods" => text.clone_into(&mut rule.methods),
        "AllowedOrigins" => text.clone_into(&mut rule.origins),
        "AllowedHeaders" => rule.allowed_headers = whole_names_first(text),
        "ExposedHeaders" => rule.exposed_headers = whole_names_first(text),
        "MaxAgeInSeconds" => {
            rule.max_age_s = text.parse().map_err(|_| ErrorCode::InvalidXmlNodeValue)?;
        }
        _ => return Err(ErrorCode::UnsupportedXmlNode.into()),
    }
    Ok(())
}

/// The service tells whole names before prefixes.
fn whole_names_first(list: &str) -> String {
    let (prefixes, whole): (Vec<&str>, Vec<&str>) =
        list.split(',').partition(|name| name.ends_with('*'));
    [whole, prefixes].concat().join(",")
}

fn set_website(website: &mut StaticWebsite, name: &str, text: &str) -> Result<()> {
    let value = Some(text.to_owned());
    match name {
        "Enabled" => website.enabled = flag(text)?,
        "IndexDocument" => website.index_document = value,
        "ErrorDocument404Path" => website.error_document = value,
        "DefaultIndexDocumentPath" => website.default_index_path = value,
        _ => return Err(ErrorCode::UnsupportedXmlNode.into()),
    }
    Ok(())
}
