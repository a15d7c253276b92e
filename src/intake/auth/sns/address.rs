//! Which addresses are SNS's own. Messages name them, so everything about them is held against one form.

use url::Url;

use crate::address::is_region;

/// Where a certificate lies, and whose it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// The document.
    pub(super) url: Url,
    /// Names of which the certificate must bear one.
    pub(super) names: Vec<String>,
}

/// The address of a certificate, if it is SNS's.
pub(super) fn of_certificate(text: &str) -> Option<Address> {
    let (url, region, domain) = own(text)?;
    if !is_certificate(url.path()) || url.query().is_some() {
        return None;
    }
    // Source: what SNS serves, and the names that AWS's SDKs expect: `sns.` in the first regions, `sns-signing.REGION.` in
    // later ones, `sns-REGION.` in China and GovCloud, whose eastern region has the western one's.
    let mut names = vec![
        format!("sns.{domain}"),
        format!("sns.{region}.{domain}"),
        format!("sns-signing.{region}.{domain}"),
        format!("sns-{region}.{domain}"),
    ];
    if region == "us-gov-east-1" {
        names.push(format!("sns-us-gov-west-1.{domain}"));
    }
    Some(Address { url, names })
}

/// Whether a path has the form of SNS's: `/SimpleNotificationService-`, 32 hexadecimal digits, `.pem`. Source: what SNS serves.
fn is_certificate(path: &str) -> bool {
    let digits = path
        .strip_prefix("/SimpleNotificationService-")
        .and_then(|rest| rest.strip_suffix(".pem"));
    digits.is_some_and(|digits| {
        digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// The address that confirms a subscription of this topic, if it is SNS's and does nothing else.
pub(super) fn of_confirmation(text: &str, topic_arn: &str) -> Option<Url> {
    let (url, _, _) = own(text)?;
    let once = |name: &str| {
        let mut values = url.query_pairs().filter(|(key, _)| key == name);
        let value = values.next()?.1;
        values.next().is_none().then_some(value)
    };
    let is_confirmation = url.path() == "/"
        && once("Action")? == "ConfirmSubscription"
        && once("TopicArn")? == topic_arn
        && !once("Token")?.is_empty();
    is_confirmation.then_some(url)
}

/// An https address at `sns.REGION.amazonaws.com` or `.com.cn`, written as we would write it: what a parser had to repair is refused.
fn own(text: &str) -> Option<(Url, String, &'static str)> {
    let (host, _) = text.strip_prefix("https://")?.split_once('/')?;
    let labels = host.strip_prefix("sns.")?;
    let (region, domain) =
        ["amazonaws.com", "amazonaws.com.cn"]
            .into_iter()
            .find_map(|domain| {
                let region = labels.strip_suffix(domain)?.strip_suffix('.')?;
                Some((region, domain))
            })?;
    let url = Url::parse(text).ok()?;
    let is_plain = url.as_str() == text && url.fragment().is_none() && url.host_str() == Some(host);
    (is_plain && is_region(region)).then(|| (url, region.to_owned(), domain))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With a name as SNS's certificates have.
    fn named(text: &str) -> String {
        let name = "SimpleNotificationService-01d088a6f77103d0fe307c0069e40ed6.pem";
        text.replace("NAME", name)
    }

    #[test]
    fn only_sns_itself_hands_out_certificates() {
        for text in [
            "https://sns.us-east-1.amazonaws.com/NAME",
            "https://sns.us-gov-west-1.amazonaws.com/NAME",
            "https://sns.cn-north-1.amazonaws.com.cn/NAME",
        ] {
            assert!(of_certificate(&named(text)).is_some(), "{text}");
        }
        for text in [
            "http://sns.us-east-1.amazonaws.com/NAME",
            "https://sns.us-east-1.amazonaws.com.evil.example/NAME",
            "https://sns.us-east-1.amazonaws.com@evil.example/NAME",
            "https://evil.example/sns.us-east-1.amazonaws.com/NAME",
            "https://evil.example#sns.us-east-1.amazonaws.com/NAME",
            "https://user@sns.us-east-1.amazonaws.com/NAME",
            "https://sns.us-east-1.amazonaws.com:443/NAME",
            "https://sns.us-east-1.amazonaws.com:8443/NAME",
            "https://sns.us-east-1.amazonaws.com./NAME",
            "https://SNS.us-east-1.amazonaws.com/NAME",
            "https://sns.us-east-1.amazonaws.com/NAME?x",
            "https://sns.us-east-1.amazonaws.com/NAME#x",
            "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0.txt",
            "https://sns.us-east-1.amazonaws.com/../NAME",
            "https://sns.us-east-1.amazonaws.com\\@evil.example/NAME",
            "https://sns.us-east-1.amazonaws.com",
            "https://sns.amazonaws.com/NAME",
            "https://sns..amazonaws.com/NAME",
            "https://sns.evil.us-east-1.amazonaws.com/NAME",
            "https://sns.s3-1.amazonaws.com/NAME",
            "https://xsns.us-east-1.amazonaws.com/NAME",
            "https://sns.us-east-1.amazonaws.com.cn.evil.example/NAME",
            "https://sns-us-east-1.amazonaws.com/NAME",
            "https://bucket.s3.amazonaws.com/sns.us-east-1.amazonaws.com/NAME",
            " https://sns.us-east-1.amazonaws.com/NAME",
            "https://sns.us-east-1.amazonaws.com/NAME ",
            "https://sns.us-east-1.amazonaws.com/a.pem",
            "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0.pem",
            "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-01d088a6f77103d0fe307c0069e40edg.pem",
            "https://sns.us-east-1.amazonaws.com/a/NAME",
            "https://sns.us-east-1.amazonaws.com/%53impleNotificationService-01d088a6f77103d0fe307c0069e40ed6.pem",
            "",
        ] {
            assert!(of_certificate(&named(text)).is_none(), "{text}");
        }
    }

    #[test]
    fn only_a_confirmation_is_a_confirmation() {
        const TOPIC: &str = "arn:aws:sns:us-east-1:1:orders";
        let query = |query: &str| {
            let text = format!("https://sns.us-east-1.amazonaws.com/?{query}");
            of_confirmation(&text, TOPIC).is_some()
        };
        for (text, expected) in [
            (
                "Action=ConfirmSubscription&TopicArn=arn:aws:sns:us-east-1:1:orders&Token=t",
                true,
            ),
            (
                "Action=ConfirmSubscription&TopicArn=arn:aws:sns:us-east-1:1:other&Token=t",
                false,
            ),
            (
                "Action=ConfirmSubscription&TopicArn=arn:aws:sns:us-east-1:1:orders&Token=",
                false,
            ),
            (
                "Action=ConfirmSubscription&TopicArn=arn:aws:sns:us-east-1:1:orders",
                false,
            ),
            (
                "Action=Unsubscribe&TopicArn=arn:aws:sns:us-east-1:1:orders&Token=t",
                false,
            ),
            (
                "Action=ConfirmSubscription&Action=Publish&TopicArn=arn:aws:sns:us-east-1:1:orders&Token=t",
                false,
            ),
            ("", false),
        ] {
            assert_eq!(query(text), expected, "{text}");
        }
        let elsewhere = "https://evil.example/?Action=ConfirmSubscription&TopicArn=arn:aws:sns:us-east-1:1:orders&Token=t";
        assert_eq!(of_confirmation(elsewhere, TOPIC), None);
    }
}
