//! A task for each object of one kind: begun when it appears, told of its changes, ended when it goes.
//!
//! What one of them does, or fails to do, disturbs no other. A panic in one is a bug that its own object shows; it is
//! tried again when the object changes, or after a while. What a task does is left to a [`Reconciler`].

use std::collections::HashMap;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::task::JoinSet;
use tracing::{error, info_span};

use super::Identity;
use super::metrics::Panics;
use crate::resource::{Api, ObjectId};

pub(super) use self::inbox::Inbox;

mod inbox;

/// A task that panicked is begun again after this, if its object does not change before.
const AFTER_A_PANIC: Duration = Duration::from_mins(10);

/// Which object: two of one name may come through two APIs.
pub(super) type ObjectKey = (ObjectId, Api);

/// What is done about the objects of one kind.
pub(super) trait Reconciler: Send + Sync + 'static {
    /// An object, valid or not.
    type Object: Clone + Send + Sync + 'static;

    /// Whose object it is.
    fn identity(object: &Self::Object) -> &Arc<Identity>;

    /// Takes over a new reading of an object. Whether it asks for something else: a status does not count.
    fn update(current: &mut Self::Object, read: Self::Object) -> bool;

    /// Looks after an object until it is removed, or until everything stops.
    fn run(self: Arc<Self>, task: ObjectTask<Self::Object>) -> BoxFuture<'static, ()>;

    /// Shows on an object that its task ended by a bug.
    fn panicked<'a>(&'a self, object: &'a Self::Object) -> BoxFuture<'a, ()>;

    /// Drops what is kept for an object whose task has ended because it went, or began to.
    fn forget(&self, object: &Self::Object);

    /// What is left of a name whose task has ended: an object that is being deleted, or none.
    fn is_left(&self, _id: &ObjectId, _is_deleting: bool) {}
}

/// What a task knows of its object.
pub(super) struct ObjectTask<Object> {
    /// The object, and what it is told.
    pub(super) inbox: Arc<Inbox<Object>>,
    /// How many objects of its kind there are.
    pub(super) objects: Arc<AtomicUsize>,
}

/// The tasks of one kind of object.
pub(super) struct Workers<R: Reconciler> {
    reconciler: Arc<R>,
    panics: Panics,
    tasks: JoinSet<ObjectKey>,
    handles: HashMap<ObjectKey, Handle<R::Object>>,
    objects: Arc<AtomicUsize>,
}

/// How an object's task is reached.
struct Handle<Object> {
    inbox: Arc<Inbox<Object>>,
    is_deleting: bool,
    /// Another object of the same name, to begin when this one's task has ended.
    successor: Option<Box<Object>>,
}

impl<R: Reconciler> Workers<R> {
    pub(super) fn new(reconciler: R, panics: Panics) -> Self {
        Self {
            reconciler: Arc::new(reconciler),
            panics,
            tasks: JoinSet::new(),
            handles: HashMap::new(),
            objects: Arc::default(),
        }
    }

    /// Takes note of an object: a new one has a task from now on, a known one's task is told.
    pub(super) fn apply(&mut self, object: R::Object) {
        let identity = R::identity(&object);
        let key = (identity.id.clone(), identity.api);
        let Some(handle) = self.handles.get_mut(&key) else {
            self.begin(key, object);
            return;
        };
        // Deleted and made again, whether the deletion was seen or not: nothing of the old one holds for it.
        let is_another = |known: &R::Object| R::identity(known).uid != identity.uid;
        if handle.inbox.is_removed() || handle.inbox.with(is_another) {
            handle.inbox.remove();
            handle.successor = Some(Box::new(object));
            return;
        }
        // Our own status writes come back as changes; only what a person wrote wakes the task.
        handle.inbox.update(|current| R::update(current, object));
    }

    /// Ends an object's task: the object is gone, or it is being deleted.
    pub(super) fn remove(&mut self, key: &ObjectKey, is_deleting: bool) {
        match self.handles.get_mut(key) {
            Some(handle) => {
                handle.inbox.remove();
                handle.is_deleting = is_deleting;
                handle.successor = None;
            }
            None => self.reconciler.is_left(&key.0, is_deleting),
        }
    }

    /// Wakes the tasks of these objects, as if they had been edited.
    pub(super) fn wake(&self, is_concerned: impl Fn(&ObjectId) -> bool) {
        for ((id, _), handle) in &self.handles {
            if is_concerned(id) {
                handle.inbox.update(|_| true);
            }
        }
    }

    /// Tells an object's task that something happened to its Jobs.
    pub(super) fn jobs_changed(&self, key: &ObjectKey) {
        if let Some(handle) = self.handles.get(key) {
            handle.inbox.jobs_changed.notify_one();
        }
    }

    /// Waits for the end of a task; there must be none. Another object of its name begins then. May be dropped.
    pub(super) async fn ended(&mut self) {
        let Some(ended) = self.tasks.join_next().await else {
            return std::future::pending().await;
        };
        // Tasks catch what they panic with, and nobody aborts them.
        let Ok(key) = ended else { return };
        let Some(handle) = self.handles.remove(&key) else {
            return;
        };
        self.count();
        if !handle.inbox.is_removed() {
            return;
        }
        handle.inbox.with(|object| self.reconciler.forget(object));
        match handle.successor {
            Some(object) => self.begin(key, *object),
            None => self.reconciler.is_left(&key.0, handle.is_deleting),
        }
    }

    /// Stops all tasks, and waits for what is under way.
    pub(super) async fn drain(mut self) {
        for handle in self.handles.values() {
            handle.inbox.stop();
        }
        while self.tasks.join_next().await.is_some() {}
    }

    fn begin(&mut self, key: ObjectKey, object: R::Object) {
        let inbox = Arc::new(Inbox::new(object));
        let task = ObjectTask {
            inbox: Arc::clone(&inbox),
            objects: Arc::clone(&self.objects),
        };
        let handle = Handle {
            inbox,
            is_deleting: false,
            successor: None,
        };
        self.handles.insert(key.clone(), handle);
        self.count();
        let (reconciler, panics) = (Arc::clone(&self.reconciler), self.panics.clone());
        self.tasks.spawn(async move {
            within_span(&key.0, Box::pin(run(&reconciler, &panics, task))).await;
            key
        });
    }

    fn count(&self) {
        self.objects.store(self.handles.len(), Ordering::Relaxed);
    }
}

/// What is logged meanwhile names the object. The span is made at each poll: one that exists takes some hundred bytes,
/// and thousands of tasks wait. The caller boxes the task: an argument of an `async fn` is kept twice.
async fn within_span(id: &ObjectId, mut task: Pin<Box<impl Future<Output = ()>>>) {
    poll_fn(|context| {
        let span = info_span!(
            "object",
            object.namespace = &*id.namespace,
            object.name = &*id.name
        );
        span.in_scope(|| task.as_mut().poll(context))
    })
    .await;
}

/// An object's task, begun again after each panic.
async fn run<R: Reconciler>(reconciler: &Arc<R>, panics: &Panics, task: ObjectTask<R::Object>) {
    loop {
        let run = async { Arc::clone(reconciler).run(task.clone()).await };
        if AssertUnwindSafe(run).catch_unwind().await.is_ok() {
            return;
        }
        // On the heap: hardly a task comes here.
        tokio::select! {
            () = task.inbox.ended() => return,
            () = Box::pin(rest(&**reconciler, panics, &task.inbox)) => {}
        }
    }
}

/// Tells of a panic, and waits until the object changes, or for a while.
async fn rest<R: Reconciler>(reconciler: &R, panics: &Panics, inbox: &Inbox<R::Object>) {
    panics.count();
    let (object, version) = inbox.object();
    error!(
        "a bug ended the task of {}; it is tried again when the object changes, or after {} s",
        R::identity(&object).id,
        AFTER_A_PANIC.as_secs()
    );
    let pause = async {
        let shown = AssertUnwindSafe(reconciler.panicked(&object)).catch_unwind();
        if shown.await.is_err() {
            panics.count();
        }
        tokio::time::sleep(AFTER_A_PANIC).await;
    };
    tokio::select! {
        () = inbox.changed(version) => {}
        () = pause => {}
    }
}

impl<Object> Clone for ObjectTask<Object> {
    fn clone(&self) -> Self {
        Self {
            inbox: Arc::clone(&self.inbox),
            objects: Arc::clone(&self.objects),
        }
    }
}
