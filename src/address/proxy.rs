//! The proxy of `HTTPS_PROXY`, and what `NO_PROXY` keeps from it: pure.

use std::fmt;
use std::sync::Arc;

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::Matcher;

/// A proxy that calls over https go through, by CONNECT.
#[derive(Clone)]
pub struct HttpsProxy {
    uri: Uri,
    except: String,
    matcher: Arc<Matcher>,
}

impl HttpsProxy {
    /// Reads `HTTPS_PROXY` and `NO_PROXY`, as curl does.
    ///
    /// # Errors
    ///
    /// What an address of a proxy looks like; the address is not told, which may hold a password.
    pub fn parse(https_proxy: &str, no_proxy: &str) -> Result<Self, &'static str> {
        let right = "must be the address of a proxy over plain HTTP, such as http://proxy:3128";
        let address = if https_proxy.contains("://") {
            https_proxy.to_owned()
        } else {
            format!("http://{https_proxy}")
        };
        let uri: Uri = address.parse().map_err(|_| right)?;
        if uri.scheme_str() != Some("http") || uri.host().is_none_or(str::is_empty) {
            return Err(right);
        }
        let matcher = Matcher::builder().https(address).no(no_proxy.to_owned());
        Ok(Self {
            uri,
            except: no_proxy.to_owned(),
            matcher: Arc::new(matcher.build()),
        })
    }

    /// Whether calls to this address go through it. Calls over plain HTTP never do.
    pub fn takes(&self, uri: &Uri) -> bool {
        self.matcher.intercept(uri).is_some()
    }

    /// Where it is, with what stands in the address for it to know us by.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// `NO_PROXY`.
    pub fn except(&self) -> &str {
        &self.except
    }

    /// What it wants to know us by, for a call that it takes.
    pub fn authorization(&self, uri: &Uri) -> Option<HeaderValue> {
        self.matcher.intercept(uri)?.basic_auth().cloned()
    }
}

impl fmt::Debug for HttpsProxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "HttpsProxy({:?})", self.uri.host())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Rules;
    use super::*;

    #[test]
    fn a_proxy_takes_https_but_for_what_is_kept_from_it() {
        let proxy = HttpsProxy::parse(
            "http://me:canary@proxy.lab:3128",
            "127.0.0.1,.cluster.local,10.96.0.0/12",
        )
        .unwrap();
        for (address, is_taken) in [
            ("https://sqs.eu-west-1.amazonaws.com/", true),
            ("https://issuer.example:8443/keys", true),
            ("http://issuer.example/", false),
            ("https://127.0.0.1:6443/", false),
            ("https://kubernetes.default.svc.cluster.local/", false),
            ("https://10.96.0.1/", false),
            ("https://10.112.0.1/", true),
        ] {
            let uri: Uri = address.parse().unwrap();
            assert_eq!(proxy.takes(&uri), is_taken, "{address}");
        }
        let uri = Uri::from_static("https://issuer.example/");
        assert!(proxy.authorization(&uri).is_some());
        assert!(!format!("{proxy:?}").contains("canary"));
        assert!(HttpsProxy::parse("proxy.lab:3128", "").unwrap().takes(&uri));
        for wrong in ["https://proxy:3128", "socks5://proxy", "http://", "a b"] {
            assert!(HttpsProxy::parse(wrong, "").is_err(), "{wrong}");
        }
    }

    #[test]
    fn through_a_proxy_only_what_is_allowed_by_name_may_be_called() {
        let proxy = HttpsProxy::parse("http://proxy.lab:3128", "*.corp.example,inside.example");
        let allowed = ["issuer.example", "*.lab.example", "10.0.0.7"].map(str::to_owned);
        let rules = Rules::new(allowed, false).through(proxy.ok());
        for (address, told) in [
            ("https://issuer.example/keys", Some(true)),
            ("https://a.lab.example/keys", Some(true)),
            ("https://sns.eu-west-1.amazonaws.com/x.pem", Some(true)),
            ("https://10.0.0.7/keys", Some(true)),
            ("https://inside.example/keys", Some(false)),
            ("http://elsewhere.example/keys", Some(false)),
            ("https://elsewhere.example/keys", None),
            ("https://10.0.0.8/keys", None),
            ("https://issuer.example.evil.example/", None),
        ] {
            let found = rules.proxy_for(address);
            assert_eq!(found.as_ref().ok().map(Option::is_some), told, "{address}");
            if let Err(why) = found {
                assert!(why.contains("--allow-address"), "{why}");
            }
        }
        let direct = Rules::new([], false);
        assert!(
            direct
                .proxy_for("https://elsewhere.example/")
                .unwrap()
                .is_none()
        );
    }
}
