//! Every way in of a shared door, asked at once.
//!
//! Strangers may ask as often as they like, so a request that nobody lets in costs about the same for one EventJob and
//! for hundreds: what a header must hold is looked up by its tag, and a token is asked about only where its own words
//! lead. What is indexed are tags under a key of this process, so the time of a look-up says nothing about a Secret.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::{StreamExt as _, stream};
use http::HeaderMap;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::api_key::user_and_password;
use super::compare::Comparer;
use super::headers::{authorization, only};
use super::secrets::Secrets;
use super::{Authenticator, ReadSoFar, SenderVerdict};
use crate::lookup::{Lookup, SecretData};
use crate::resource::ObjectId;
use crate::resource::event_job::{Auth, EventJob, SecretKey};

/// The keys are read again after this time, from what is remembered of their Secrets.
const FRESH_FOR: Duration = Duration::from_secs(1);
/// Secrets that are read at once.
const AT_ONCE: usize = 16;
/// Secrets that are read anew because somebody was refused. The others are as old as `lookup` lets them become.
const MOST_REREADS: usize = 16;

/// The ways in of a namespace's shared door.
#[derive(Debug)]
pub struct SharedAuths {
    /// One EventJob for each list of ways.
    auths: Vec<Arc<EventJob>>,
    /// The lists that have more ways than keys in headers.
    others: Vec<usize>,
    /// The Secrets of keys in headers.
    secrets: BTreeSet<String>,
    keys: Mutex<Option<(Instant, Arc<HeaderKeyIndex>)>>,
}

/// What headers must hold, by tag.
#[derive(Debug, Default)]
struct HeaderKeyIndex {
    /// By the header's name.
    headers: HashMap<String, IndexedKeys>,
    /// User and password of HTTP Basic.
    basic: IndexedKeys,
}

/// The lists that a value lets in.
#[derive(Debug, Default)]
struct IndexedKeys {
    by_tag: HashMap<[u8; 32], Vec<usize>>,
    /// Lists some of whose keys cannot be read, and why.
    troubles: Vec<(usize, String)>,
}

impl SharedAuths {
    /// The ways in of these EventJobs, each of which stands for a list.
    pub fn new(auths: &[Arc<EventJob>]) -> Self {
        let is_key = |auth: &Auth| matches!(auth, Auth::ApiKey { .. } | Auth::Basic { .. });
        let has_others =
            |(_, event_job): &(usize, &Arc<EventJob>)| !event_job.auth().iter().all(is_key);
        let others = auths.iter().enumerate().filter(has_others);
        let all = auths.iter().flat_map(|event_job| event_job.auth());
        let keys = all.filter(|auth| is_key(auth)).flat_map(Auth::secret_keys);
        Self {
            others: others.map(|(index, _)| index).collect(),
            auths: auths.to_vec(),
            secrets: keys.map(|(name, _)| name.to_owned()).collect(),
            keys: Mutex::default(),
        }
    }

    /// The keys as they were read a moment ago, or as they are read now.
    async fn keys(
        &self,
        lookup: &dyn Lookup,
        comparer: &Comparer,
        namespace: &str,
    ) -> Arc<HeaderKeyIndex> {
        let mut kept = self.keys.lock().await;
        if let Some((read_at, keys)) = &*kept
            && read_at.elapsed() < FRESH_FOR
        {
            return Arc::clone(keys);
        }
        let secrets = Secrets { lookup, namespace };
        let read = stream::iter(self.secrets.iter().cloned())
            .map(|name| async move { (secrets.data(&name).await, name) })
            .buffer_unordered(AT_ONCE);
        let read: HashMap<String, _> = read.map(|(data, name)| (name, data)).collect().await;
        let read = ReadSecrets { secrets, read };
        let mut index = HeaderKeyIndex::default();
        for (list, event_job) in self.auths.iter().enumerate() {
            for auth in event_job.auth() {
                index.add(list, auth, &read, comparer);
            }
        }
        let index = Arc::new(index);
        *kept = Some((Instant::now(), Arc::clone(&index)));
        index
    }
}

/// Secrets as they were read, each once.
struct ReadSecrets<'a> {
    secrets: Secrets<'a>,
    read: HashMap<String, Result<SecretData, String>>,
}

impl ReadSecrets<'_> {
    fn value(&self, name: &str, key: &str) -> Result<SecretString, String> {
        match self.read.get(name) {
            Some(Ok(data)) => self.secrets.value(name, data, key),
            Some(Err(why)) => Err(why.clone()),
            None => Err(format!("Secret {name} was not read")),
        }
    }
}

impl HeaderKeyIndex {
    fn add(&mut self, list: usize, auth: &Auth, read: &ReadSecrets<'_>, comparer: &Comparer) {
        let (indexed, tags) = match auth {
            Auth::ApiKey { header, keys } => {
                let tag = |key: &SecretKey| {
                    let value = read.value(&key.name, &key.key)?;
                    Ok(comparer.tag(value.expose_secret().as_bytes()))
                };
                let tags: Vec<Result<_, String>> = keys.iter().map(tag).collect();
                (self.headers.entry(header.clone()).or_default(), tags)
            }
            Auth::Basic { secret } => {
                let username = read.value(secret, "username");
                let tag = username.and_then(|username| {
                    let password = read.value(secret, "password")?;
                    let (username, password) = (username.expose_secret(), password.expose_secret());
                    Ok(basic_tag(comparer, username, password))
                });
                (&mut self.basic, vec![tag])
            }
            Auth::None | Auth::Hmac { .. } | Auth::Jwt { .. } | Auth::Sns { .. } => return,
        };
        for tag in tags {
            match tag {
                Ok(Some(tag)) => indexed.by_tag.entry(tag).or_default().push(list),
                Ok(None) => {}
                Err(why) => indexed.troubles.push((list, why)),
            }
        }
    }

    /// What the headers of a request say to each list.
    fn ask(&self, comparer: &Comparer, headers: &HeaderMap, verdicts: &mut [SenderVerdict]) {
        for (name, keys) in &self.headers {
            if let Some(presented) = only(headers, name) {
                keys.ask(comparer.tag(presented.as_bytes()), verdicts);
            }
        }
        let presented = authorization(headers, "basic").and_then(user_and_password);
        if let Some((username, password)) = presented {
            self.basic
                .ask(basic_tag(comparer, &username, &password), verdicts);
        }
    }
}

impl IndexedKeys {
    fn ask(&self, tag: Option<[u8; 32]>, verdicts: &mut [SenderVerdict]) {
        for (list, why) in &self.troubles {
            let trouble = SenderVerdict::Unavailable(why.clone());
            further(&mut verdicts[*list], trouble);
        }
        let lists = tag.and_then(|tag| self.by_tag.get(&tag));
        for list in lists.into_iter().flatten() {
            verdicts[*list] = SenderVerdict::Passed;
        }
    }
}

/// Of two verdicts, keeps the one that leads further.
fn further(kept: &mut SenderVerdict, other: SenderVerdict) {
    let before = std::mem::replace(kept, SenderVerdict::stranger());
    *kept = before.or(other);
}

/// A user's name has no colon, so the two can be told apart in the text. Neither may be empty.
fn basic_tag(comparer: &Comparer, username: &str, password: &str) -> Option<[u8; 32]> {
    let is_right = !username.is_empty() && !username.contains(':') && !password.is_empty();
    is_right.then(|| comparer.tag(format!("{username}:{password}").as_bytes()))?
}

/// What a token says of itself. Nothing of it is proved: it only tells where asking is worth its price.
struct UnprovedClaims(Value);

impl UnprovedClaims {
    fn read(headers: &HeaderMap) -> Option<Self> {
        let claims = authorization(headers, "bearer")?.split('.').nth(1)?;
        let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
        serde_json::from_slice(&claims).ok().map(Self)
    }

    fn may_be(&self, issuer: &str, audience: &str) -> bool {
        let Self(claims) = self;
        let audiences = claims["aud"].as_array();
        let is_listed = || audiences.is_some_and(|all| all.iter().any(|one| *one == *audience));
        claims["iss"] == *issuer && (claims["aud"] == *audience || is_listed())
    }
}

impl Authenticator {
    /// What headers alone tell each list of a shared door; see [`Authenticator::with_headers`].
    pub async fn with_headers_of_all(
        &self,
        namespace: &str,
        shared: &SharedAuths,
        headers: &HeaderMap,
    ) -> Vec<SenderVerdict> {
        let verdicts = self.of_all(namespace, shared, headers).await;
        let goes_on = |verdict: &SenderVerdict| {
            matches!(verdict, SenderVerdict::Passed | SenderVerdict::NeedsBody)
        };
        let is_refused = !verdicts.iter().any(goes_on);
        let some = shared.secrets.iter().take(MOST_REREADS).map(String::as_str);
        let some: BTreeSet<&str> = some.collect();
        if !is_refused || some.is_empty() || !self.rereads.may(namespace, &some) {
            return verdicts;
        }
        // A key that was rotated a moment ago may be in the Secret and not in what is remembered of it.
        for name in some {
            self.lookup.forget_secret(&ObjectId::new(namespace, name));
        }
        *shared.keys.lock().await = None;
        self.of_all(namespace, shared, headers).await
    }

    async fn of_all(
        &self,
        namespace: &str,
        shared: &SharedAuths,
        headers: &HeaderMap,
    ) -> Vec<SenderVerdict> {
        let mut verdicts = vec![SenderVerdict::stranger(); shared.auths.len()];
        let keys = shared.keys(&*self.lookup, &self.comparer, namespace).await;
        keys.ask(&self.comparer, headers, &mut verdicts);
        let claims = UnprovedClaims::read(headers);
        let request = ReadSoFar {
            headers,
            body: None,
            now: (self.clock)(),
        };
        for list in &shared.others {
            for scheme in shared.auths[*list].auth() {
                let is_asked = match scheme {
                    Auth::ApiKey { .. } | Auth::Basic { .. } => false,
                    Auth::Jwt {
                        issuer, audience, ..
                    } => {
                        let may_be = |claims: &UnprovedClaims| claims.may_be(issuer, audience);
                        claims.as_ref().is_some_and(may_be)
                    }
                    Auth::None | Auth::Hmac { .. } | Auth::Sns { .. } => true,
                };
                if is_asked && verdicts[*list] != SenderVerdict::Passed {
                    let verdict = self.one(namespace, scheme, request).await;
                    further(&mut verdicts[*list], verdict);
                }
            }
        }
        verdicts
    }
}
