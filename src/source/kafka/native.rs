//! What is asked of librdkafka beyond the safe part of `rdkafka`: the only file with `unsafe`.
//!
//! `rdkafka` 0.39 asks for committed offsets only in the name of the client's own group, and has none of librdkafka's
//! connect and event callbacks. With them one client answers for every group of a cluster, whoever is called is looked
//! at before each connection, and a refusal is heard at once. What is allowed and what is heard is `context`'s.
#![expect(
    unsafe_code,
    reason = "librdkafka is C; each block says why it is sound"
)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::fd::{BorrowedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use std::{ptr, slice};

use rdkafka::bindings;
use rdkafka::client::Client;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::groups::GroupList;
use rdkafka::metadata::Metadata;
use rdkafka::types::{RDKafkaRespErr, RDKafkaType};
use rdkafka::{ClientConfig, TopicPartitionList};
use rustix::io::Errno;
use rustix::net::addr::{SocketAddrLen, SocketAddrStorage};
use rustix::net::{SocketAddrAny, connect};

use super::context::Context;

/// A client of librdkafka that asks for offsets, of any group.
pub(super) struct OffsetsClient(Client<Context>);

/// How long librdkafka may take over a group's offsets. Source: librdkafka's largest `request_timeout`.
///
/// It is never waited for. librdkafka 2.12 ends the process when a coordinator shows up for a request whose time is
/// over (its issues 3663 and 4605), so the client is closed before that.
const NEVER: Duration = Duration::from_hours(1);

/// Where librdkafka writes what it has against an argument.
const NO_TEXT: [c_char; 256] = [0; 256];

/// One partition in an answer: topic, partition, its offset as librdkafka writes it, its error.
pub(super) type CommittedOffset = (String, i32, i64, RDKafkaRespErr);

impl OffsetsClient {
    /// A client with nothing sent yet. The settings must have a `group.id`.
    pub(super) fn open(config: &ClientConfig, context: Context) -> Result<Self, KafkaError> {
        let native = config.create_native_config()?;
        // SAFETY: the settings are alive and nobody else's. `Client::new` sets its context as the `opaque` that the
        // callbacks get, and keeps it alive until after librdkafka's last thread has ended.
        unsafe {
            bindings::rd_kafka_conf_set_events(native.ptr(), bindings::RD_KAFKA_EVENT_ERROR);
            bindings::rd_kafka_conf_set_connect_cb(native.ptr(), Some(on_connect));
            bindings::rd_kafka_conf_set_log_cb(native.ptr(), Some(on_log));
            bindings::rd_kafka_conf_set_oauthbearer_token_refresh_cb(native.ptr(), Some(on_token));
            bindings::rd_kafka_conf_set_background_event_cb(native.ptr(), Some(on_event));
        }
        let client = Client::new(config, native, RDKafkaType::RD_KAFKA_CONSUMER, context)?;
        // SAFETY: the client is alive. Both queues are references of our own, given back by `Owned`.
        unsafe {
            let main = Owned(
                bindings::rd_kafka_queue_get_main(client.native_ptr()),
                bindings::rd_kafka_queue_destroy,
            );
            let background = Owned(
                bindings::rd_kafka_queue_get_background(client.native_ptr()),
                bindings::rd_kafka_queue_destroy,
            );
            bindings::rd_kafka_queue_forward(main.0, background.0);
        }
        Ok(Self(client))
    }

    pub(super) fn context(&self) -> &Arc<Context> {
        self.0.context()
    }

    pub(super) fn metadata(
        &self,
        topic: Option<&str>,
        timeout: Duration,
    ) -> Result<Metadata, KafkaError> {
        self.0.fetch_metadata(topic, timeout)
    }

    pub(super) fn group(&self, group: &str, timeout: Duration) -> Result<GroupList, KafkaError> {
        self.0.fetch_group_list(Some(group), timeout)
    }

    /// Puts the answer in place of each offset that was asked for, which is a time.
    pub(super) fn offsets_for_times(
        &self,
        list: &TopicPartitionList,
        timeout: Duration,
    ) -> Result<(), KafkaError> {
        // SAFETY: the client and the list are alive, and librdkafka keeps neither after the call.
        let code = unsafe {
            bindings::rd_kafka_offsets_for_times(
                self.0.native_ptr(),
                list.ptr(),
                milliseconds(timeout),
            )
        };
        result(code)
    }

    /// What a group has committed: for these partitions, or for all that it has committed for.
    ///
    /// None when no answer came in time. The request stays open then, and the client must go within [`NEVER`].
    pub(super) fn committed(
        &self,
        group: &str,
        partitions: Option<&TopicPartitionList>,
        timeout: Duration,
    ) -> Result<Option<Vec<CommittedOffset>>, KafkaError> {
        let group = CString::new(group)?;
        let client = self.0.native_ptr();
        // SAFETY: the client outlives every object here, and each of them is destroyed once, by `Owned`. librdkafka copies
        // the group's name and the list; the answer's parts belong to the event and are copied before it goes.
        unsafe {
            let queue = Owned(
                bindings::rd_kafka_queue_new(client),
                bindings::rd_kafka_queue_destroy,
            );
            let options = Owned(
                bindings::rd_kafka_AdminOptions_new(
                    client,
                    bindings::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS,
                ),
                bindings::rd_kafka_AdminOptions_destroy,
            );
            let mut text = NO_TEXT;
            result(bindings::rd_kafka_AdminOptions_set_request_timeout(
                options.0,
                milliseconds(NEVER),
                text.as_mut_ptr(),
                text.len(),
            ))?;
            let list = partitions.map_or(ptr::null_mut(), TopicPartitionList::ptr);
            let mut request = Owned(
                bindings::rd_kafka_ListConsumerGroupOffsets_new(group.as_ptr(), list),
                bindings::rd_kafka_ListConsumerGroupOffsets_destroy,
            );
            bindings::rd_kafka_ListConsumerGroupOffsets(
                client,
                &raw mut request.0,
                1,
                options.0,
                queue.0,
            );
            let event = bindings::rd_kafka_queue_poll(queue.0, milliseconds(timeout));
            if event.is_null() {
                return Ok(None);
            }
            let event = Owned(event, bindings::rd_kafka_event_destroy);
            result(bindings::rd_kafka_event_error(event.0))?;
            committed_offsets(event.0).map(Some)
        }
    }
}

/// What the answer in an event says of its one group.
///
/// # Safety
///
/// The event is alive.
unsafe fn committed_offsets(
    event: *mut bindings::rd_kafka_event_t,
) -> Result<Vec<CommittedOffset>, KafkaError> {
    // SAFETY: each pointer is looked at before it is followed, and lives as long as the event.
    unsafe {
        let answer = bindings::rd_kafka_event_ListConsumerGroupOffsets_result(event);
        let bad = result(RDKafkaRespErr::RD_KAFKA_RESP_ERR__BAD_MSG).map(|()| Vec::new());
        if answer.is_null() {
            return bad;
        }
        let mut count = 0;
        let groups =
            bindings::rd_kafka_ListConsumerGroupOffsets_result_groups(answer, &raw mut count);
        if groups.is_null() || count != 1 {
            return bad;
        }
        let error = bindings::rd_kafka_group_result_error(*groups);
        if !error.is_null() {
            result(bindings::rd_kafka_error_code(error))?;
        }
        let list = bindings::rd_kafka_group_result_partitions(*groups);
        if list.is_null() || (*list).elems.is_null() {
            return Ok(Vec::new());
        }
        let count = usize::try_from((*list).cnt).unwrap_or(0);
        let partitions = slice::from_raw_parts((*list).elems, count);
        Ok(partitions
            .iter()
            .map(|one| (owned(one.topic), one.partition, one.offset, one.err))
            .collect())
    }
}

/// Connects a socket, if the context lets it. Called by a broker's thread, before each connection to it.
///
/// `A` is `sockaddr`, which needs no name here.
unsafe extern "C" fn on_connect<A>(
    socket: RawFd,
    address: *const A,
    length: c_int,
    broker: *const c_char,
    opaque: *mut c_void,
) -> c_int {
    let Ok(length) = SocketAddrLen::try_from(length) else {
        return Errno::INVAL.raw_os_error();
    };
    // SAFETY: librdkafka gives a socket that it has just opened, an address of that length, and the broker's name, all
    // alive during the call; `opaque` is the context, see `OffsetsClient::open`.
    let (socket, address, broker, context) = unsafe {
        (
            BorrowedFd::borrow_raw(socket),
            SocketAddrAny::read(address.cast::<SocketAddrStorage>(), length),
            owned(broker),
            &*opaque.cast::<Context>(),
        )
    };
    let outcome = std::net::SocketAddr::try_from(address).and_then(|address| {
        if !context.may_connect(&broker, address.ip()) {
            return Err(Errno::ACCESS);
        }
        connect(socket, &address)
    });
    match outcome {
        // The socket does not block: that it is connected shows later.
        Ok(()) | Err(Errno::INPROGRESS) => 0,
        Err(error) => error.raw_os_error(),
    }
}

/// Hands an error to the context. Called by a thread of librdkafka's own, one event at a time.
unsafe extern "C" fn on_event(
    _client: *mut bindings::rd_kafka_t,
    event: *mut bindings::rd_kafka_event_t,
    opaque: *mut c_void,
) {
    // SAFETY: the event is ours to destroy, and its text lives as long as it does; for `opaque` see `OffsetsClient::open`.
    unsafe {
        let event = Owned(event, bindings::rd_kafka_event_destroy);
        if bindings::rd_kafka_event_type(event.0) == bindings::RD_KAFKA_EVENT_ERROR {
            let text = owned(bindings::rd_kafka_event_error_string(event.0));
            let context = &*opaque.cast::<Context>();
            context.failed(bindings::rd_kafka_event_error(event.0).into(), &text);
        }
    }
}

/// Hands a line of the log to the context. Called by the same thread: in the background neither the log nor a token is an event.
unsafe extern "C" fn on_log(
    client: *const bindings::rd_kafka_t,
    _level: c_int,
    facility: *const c_char,
    text: *const c_char,
) {
    if client.is_null() {
        return;
    }
    // SAFETY: the client is alive, and its `opaque` is the context, see `OffsetsClient::open`; the texts live for the call.
    unsafe {
        let context = bindings::rd_kafka_opaque(client).cast::<Context>();
        (*context).logged(&owned(facility), &owned(text));
    }
}

/// Gives librdkafka a new token, or tells it that there is none. Called by the same thread.
unsafe extern "C" fn on_token(
    client: *mut bindings::rd_kafka_t,
    _settings: *const c_char,
    opaque: *mut c_void,
) {
    // SAFETY: see `OffsetsClient::open`.
    let context = unsafe { &*opaque.cast::<Context>() };
    // A panic must not cross into C: tokio's timers panic while the program stops.
    let token = catch_unwind(AssertUnwindSafe(|| context.token()))
        .ok()
        .flatten();
    let made = token.and_then(|token| {
        let text = CString::new(token.token).ok()?;
        Some((
            text,
            CString::new(token.principal_name).ok()?,
            token.lifetime_ms,
        ))
    });
    let mut why = NO_TEXT;
    // SAFETY: the client and all texts are alive during the calls, and librdkafka copies the texts.
    unsafe {
        let is_taken = made.is_some_and(|(text, principal, lifetime)| {
            bindings::rd_kafka_oauthbearer_set_token(
                client,
                text.as_ptr(),
                lifetime,
                principal.as_ptr(),
                ptr::null_mut(),
                0,
                why.as_mut_ptr(),
                why.len(),
            ) == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR
        });
        if !is_taken {
            bindings::rd_kafka_oauthbearer_set_token_failure(client, c"no token".as_ptr());
        }
    }
}

/// Something that librdkafka made for us, with what destroys it.
struct Owned<T>(*mut T, unsafe extern "C" fn(*mut T));

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: made by librdkafka, and destroyed here alone.
        unsafe { (self.1)(self.0) }
    }
}

/// A text of librdkafka's; empty for none.
///
/// # Safety
///
/// The pointer is null, or a text that ends in NUL.
unsafe fn owned(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned()
}

fn result(code: RDKafkaRespErr) -> Result<(), KafkaError> {
    match RDKafkaErrorCode::from(code) {
        RDKafkaErrorCode::NoError => Ok(()),
        code => Err(KafkaError::Global(code)),
    }
}

fn milliseconds(timeout: Duration) -> c_int {
    c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX)
}
