//! The output of an instance: from its pod while it runs, from the log book while it is stopped.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use futures_util::io::{AsyncRead, AsyncReadExt as _};
use futures_util::stream::{self, BoxStream, StreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::LogParams;

use super::lines::{Lines, line};
use crate::error::{Error, ErrorKind, Result};
use crate::kubernetes::client::errors::Action;
use crate::runtime::kubernetes::instance::tracked::PodLog;
use crate::runtime::kubernetes::names::CONTAINER;
use crate::runtime::kubernetes::render::port_of;
use crate::runtime::kubernetes::shared::Shared;
use crate::runtime::{InstanceKey, LogBook, LogLine, LogOptions, LogSource};

/// Timeout for reading the last lines of a pod that is about to be deleted.
const READ_TIMEOUT: Duration = Duration::from_millis(1500);
/// Maximum number of lines read from a pod's log that is not followed, protocol messages included.
const MAX_LINES: i64 = 2000;
/// Maximum number of bytes read from a log that is not followed.
const MAX_BYTES: i64 = 4 << 20;
/// Number of lines in the tail of an [`Exit`](crate::runtime::Exit).
const TAIL_LINES: usize = 20;

/// Returns the last lines, each truncated to 1024 characters.
pub(crate) fn tail(lines: &[LogLine]) -> Vec<String> {
    let last = lines.iter().skip(lines.len().saturating_sub(TAIL_LINES));
    last.map(|line| line.text.chars().take(1024).collect())
        .collect()
}

impl Shared {
    /// Reads the last lines of a pod and stores them with the current run. Returns no lines if reading fails or times
    /// out.
    pub(crate) async fn keep_log(&self, key: &InstanceKey, pod: &str, log: PodLog) -> Vec<LogLine> {
        let params = LogParams {
            tail_lines: Some(MAX_LINES),
            limit_bytes: Some(MAX_BYTES),
            ..params(log)
        };
        let read = async {
            let lines = self.read(key, pod, params).await?;
            let lines: Vec<_> = lines.collect().await;
            lines.into_iter().collect::<Result<Vec<_>>>()
        };
        let lines = match tokio::time::timeout(READ_TIMEOUT, read).await {
            Ok(Ok(lines)) => lines,
            Ok(Err(error)) => {
                tracing::debug!(instance = %key, %error, "the last lines of a pod were not read");
                Vec::new()
            }
            Err(_) => Vec::new(),
        };
        for line in &lines {
            self.book.add(key, line.clone());
        }
        lines
    }

    /// Returns the requested lines, oldest first.
    pub(crate) async fn logs(
        &self,
        key: &InstanceKey,
        options: LogOptions,
    ) -> Result<BoxStream<'static, Result<LogLine>>> {
        let view = self.store.view(key.name());
        let is_running = view
            .deployment
            .as_ref()
            .is_some_and(|it| it.replicas != 0 && !it.deleting);
        let pod = view.pods.last().filter(|pod| is_running && !pod.deleting);
        let log = if options.previous {
            PodLog::Previous
        } else {
            PodLog::Current
        };
        let pod = pod.filter(|pod| match log {
            PodLog::Previous => pod.container.restarts > 0,
            PodLog::Current => pod.container.running || pod.container.ended.is_some(),
        });
        let Some(pod) = pod else {
            return match self.book.read(key, &options) {
                Err(_) if view.deployment.is_some() => Ok(stream::empty().boxed()),
                found => found,
            };
        };
        if options.follow && !options.previous {
            return self.follow(key, &pod.name, &options).await;
        }
        let params = LogParams {
            limit_bytes: Some(MAX_BYTES),
            tail_lines: Some(MAX_LINES),
            ..params(log)
        };
        let lines: Vec<_> = self.read(key, &pod.name, params).await?.collect().await;
        let mut lines: VecDeque<LogLine> = lines.into_iter().collect::<Result<_>>()?;
        let noted = self.book.read(
            key,
            &LogOptions {
                tail: None,
                follow: false,
                ..options.clone()
            },
        );
        if let Ok(noted) = noted {
            let noted: Vec<_> = noted.collect().await;
            lines.extend(noted.into_iter().flatten().filter(is_note));
            lines.make_contiguous().sort_by_key(|line| line.at);
        }
        while options.tail.is_some_and(|tail| lines.len() > tail) {
            lines.pop_front();
        }
        Ok(stream::iter(lines.into_iter().map(Ok)).boxed())
    }

    async fn follow(
        &self,
        key: &InstanceKey,
        pod: &str,
        options: &LogOptions,
    ) -> Result<BoxStream<'static, Result<LogLine>>> {
        let params = LogParams {
            follow: true,
            tail_lines: options.tail.and_then(|tail| i64::try_from(tail).ok()),
            ..params(PodLog::Current)
        };
        let lines = self.read(key, pod, params).await?;
        let noted = self.book.read(key, options);
        Ok(match noted {
            Ok(noted) => {
                let noted =
                    noted.filter(|line| std::future::ready(line.as_ref().is_ok_and(is_note)));
                // The stream ends with the pod's log, because following the book never ends.
                let mut noted = noted.boxed();
                let mut lines = lines;
                stream::poll_fn(move |cx| {
                    if let std::task::Poll::Ready(Some(line)) = noted.poll_next_unpin(cx) {
                        return std::task::Poll::Ready(Some(line));
                    }
                    lines.poll_next_unpin(cx)
                })
                .boxed()
            }
            Err(_) => lines,
        })
    }

    async fn read(
        &self,
        key: &InstanceKey,
        pod: &str,
        params: LogParams,
    ) -> Result<BoxStream<'static, Result<LogLine>>> {
        let namespace = self.access.namespace();
        let pods: Api<Pod> = Api::namespaced(self.access.client().clone(), namespace);
        let action = Action::new("get", "pods/log", namespace).on(pod);
        let opened = self.access.send(action, || pods.log_stream(pod, &params));
        let reader = opened.await;
        let reader = reader.map_err(|refusal| self.about(key, action.error(refusal)))?;
        let tracked = self
            .tracked
            .find(key.name())
            .and_then(|tracked| tracked.launch());
        // If the launch is unknown, protocol messages are filtered out: they are not log lines.
        let stdio = tracked.is_none_or(|launch| port_of(&launch.server).is_none());
        let reading = PodLogReader {
            reader: Box::pin(reader),
            cut: Lines::default(),
            queue: VecDeque::new(),
            over: false,
            stdio,
            key: key.clone(),
            book: self.book.clone(),
        };
        let next = |mut reading: PodLogReader<_>| async move {
            let line = reading.next().await?;
            Some((line, reading))
        };
        Ok(stream::unfold(reading, next).boxed())
    }
}

/// A pod's log that is being read.
struct PodLogReader<R> {
    reader: Pin<Box<R>>,
    cut: Lines,
    queue: VecDeque<Result<LogLine>>,
    over: bool,
    stdio: bool,
    key: InstanceKey,
    book: LogBook,
}

impl<R: AsyncRead> PodLogReader<R> {
    async fn next(&mut self) -> Option<Result<LogLine>> {
        loop {
            if let Some(line) = self.queue.pop_front() {
                return Some(line);
            }
            if self.over {
                return None;
            }
            let mut chunk = vec![0; 16 << 10];
            let texts = match self.reader.read(&mut chunk).await {
                Ok(0) => {
                    self.over = true;
                    self.cut.end().into_iter().collect()
                }
                Ok(read) => self.cut.feed(&chunk[..read]),
                Err(error) => {
                    self.over = true;
                    let cut = Error::new(ErrorKind::Unavailable, "the log was cut off");
                    self.queue.push_back(Err(cut.with_source(error)));
                    Vec::new()
                }
            };
            for mut line in texts.iter().filter_map(|text| line(text, self.stdio)) {
                line.text = self.book.redact(&self.key, &line.text);
                self.queue.push_back(Ok(line));
            }
        }
    }
}

/// Returns `true` if a line of the book is not a copy of the pod's output.
fn is_note(line: &LogLine) -> bool {
    matches!(line.source, LogSource::Protocol | LogSource::Orchestrator)
}

fn params(log: PodLog) -> LogParams {
    LogParams {
        container: Some(CONTAINER.to_owned()),
        previous: log == PodLog::Previous,
        timestamps: true,
        ..LogParams::default()
    }
}
