//! Actions of the users in a random world.

use mcp_orchestrator_core::runtime::Scope;
use serde_json::{Value, json};

use crate::authority::access::bound;
use crate::authority::model::{GATEWAYS, SERVERS, USERS};
use crate::authority::site::{Session, drain};
use crate::authority::steps::{Step, TOOLS};
use crate::authority::worlds::{OpenSession, Question, Receiver, WantedResources, World};

impl<'a> World<'a> {
    fn tag(&self, who: usize) -> Value {
        json!({ "who": USERS[who], "step": self.acts.len() - 1, "progressToken": "own" })
    }

    pub(crate) async fn act(&mut self, step: Step) {
        match step {
            Step::Open { who, gate } => self.open(who, gate).await,
            Step::Close(n) if !self.seats.is_empty() => {
                let seat = self.seats.swap_remove(n % self.seats.len());
                seat.session.end();
            }
            Step::Call { by, server, tool } => self.call(by, server, tool).await,
            Step::Modern { who, gate, server } => {
                let name = format!("{}__echo", SERVERS[server]);
                let (site, tag) = (self.site, self.tag(who));
                let call = async move {
                    let _ = site.modern(USERS[who], GATEWAYS[gate], &name, &tag).await;
                };
                self.soon(call).await;
            }
            Step::Notify { by, kind } => self.notify(by, kind).await,
            Step::Subscribe { by, server, back } => self.subscribe(by, server, back).await,
            Step::Listen { who, gate } => self.listen(who, gate).await,
            Step::Leave(n) if !self.ears.is_empty() => {
                self.ears.swap_remove(n % self.ears.len());
            }
            Step::Task { by, task, method } => self.task(by, task, method).await,
            Step::Answer(question) if !self.questions.is_empty() => {
                let at = question % self.questions.len();
                let question = self.questions.swap_remove(at);
                let result = json!({ "action": "accept", "_meta": self.tag(question.who) });
                let answer = json!({ "jsonrpc": "2.0", "id": question.id, "result": result });
                let answering = async move {
                    let _call = &question;
                    let _ = question.session.notify(&answer).await;
                };
                self.soon(answering).await;
            }
            Step::Hold(server) => self.site.mind.hold(SERVERS[server]),
            Step::LetGo => {
                for server in SERVERS {
                    self.site.mind.let_go(server);
                }
            }
            Step::Say { instance, kind } => self.say(instance, kind),
            _ => {}
        }
    }

    async fn listen(&mut self, who: usize, gate: usize) {
        let uris: Vec<_> = SERVERS.map(|name| format!("mem://{name}/a")).into();
        let wants = json!({ "tasks": true, "resourceSubscriptions": uris });
        let listen = self.site.listen(USERS[who], GATEWAYS[gate], &wants);
        let Some(Ok(mut stream)) = self.soon(listen).await else {
            return;
        };
        let mut wants = WantedResources::default();
        if let Some(acknowledged) = drain(&mut stream).first() {
            let accepted = &acknowledged["params"]["notifications"]["resourceSubscriptions"];
            let accepts = |n: &usize| {
                let uri = format!("mem://{}/a", SERVERS[*n]);
                accepted
                    .as_array()
                    .is_some_and(|all| all.contains(&uri.into()))
            };
            wants.known = (0..SERVERS.len()).filter(accepts).collect();
        }
        self.ears.push(Receiver {
            who,
            gate,
            stream: Some(stream),
            revoked: None,
            wants,
        });
    }

    async fn subscribe(&mut self, by: usize, server: usize, back: bool) {
        let Some((session, who)) = self.seat(by) else {
            return;
        };
        let verb = if back { "unsubscribe" } else { "subscribe" };
        let uri = format!("mem://{}/a", SERVERS[server]);
        let params = json!({ "uri": uri, "_meta": self.tag(who) });
        let id = self.id();
        let call = async move {
            let method = format!("resources/{verb}");
            session.request(id, &method, &params).await
        };
        let answer = self.soon(call).await;
        let at = by % self.seats.len();
        let wants = &mut self.seats[at].ear.wants;
        match answer {
            Some(Ok(answer)) if answer["error"].is_null() => {
                wants.unsure.remove(&server);
                if back {
                    wants.known.remove(&server);
                } else {
                    wants.known.insert(server);
                }
            }
            Some(_) => {}
            // Another request of the session may overtake it.
            None => {
                wants.known.remove(&server);
                wants.unsure.insert(server);
            }
        }
    }

    fn seat(&self, n: usize) -> Option<(Session<'a>, usize)> {
        let seat = self.seats.get(n.checked_rem(self.seats.len())?)?;
        Some((seat.session.clone(), seat.who))
    }

    /// Returns the id of this step's request.
    fn id(&self) -> u64 {
        1000 + self.acts.len() as u64
    }

    async fn open(&mut self, who: usize, gate: usize) {
        let site = self.site;
        let opening = async move {
            let able = json!({ "elicitation": { "url": {}, "form": {} }, "roots": {} });
            let opened = site.session_with(USERS[who], GATEWAYS[gate], &able).await;
            let session = opened.ok()?;
            let token = bound(&session, "Bearer 1");
            let _ = session.request(1, "tools/list", &json!({})).await;
            let stream = session.listen().await.ok();
            Some((session, token, stream))
        };
        let Some(Some((session, token, stream))) = self.soon(opening).await else {
            return;
        };
        let enters = !self.model.reach(who, gate).is_empty();
        assert!(stream.is_some() || !enters, "a member has no stream");
        let revoked = None;
        let ear = Receiver {
            who,
            gate,
            stream,
            revoked,
            wants: WantedResources::default(),
        };
        self.seats.push(OpenSession {
            who,
            gate,
            session,
            ear,
            token,
        });
    }

    async fn call(&mut self, by: usize, server: usize, tool: usize) {
        let Some((session, who)) = self.seat(by) else {
            return;
        };
        let act = self.acts.last().cloned().flatten();
        let gate = act.map_or(0, |act| act.gate);
        let (tool, id) = (TOOLS[tool], self.id());
        let name = format!("{}__{tool}", SERVERS[server]);
        let mut params = json!({ "name": name, "arguments": {}, "_meta": self.tag(who) });
        match tool {
            // Only an instance of a single principal sends requests to a client.
            "ask" if SERVERS[server] == "p" => {
                return self.ask(session, who, gate, &params).await;
            }
            "ask" => return,
            "task" => params["task"] = json!({}),
            "spelled" => {
                params["name"] = format!("{}__echo", SERVERS[server]).into();
                params["Name"] = "hidden".into();
            }
            _ => {}
        }
        let call = async move { session.request(id, "tools/call", &params).await };
        let Some(Ok(answer)) = self.soon(call).await else {
            return;
        };
        let told = &answer["result"]["who"];
        assert!(told.is_null() || *told == USERS[who], "{answer}");
        if let Some(id) = answer["result"]["task"]["taskId"].as_str() {
            self.tasks.push((id.to_owned(), who));
        }
    }

    async fn ask(&mut self, session: Session<'a>, who: usize, gate: usize, params: &Value) {
        let (id, params, asking) = (self.id(), params.clone(), session.clone());
        let call = async move { asking.begin(id, "tools/call", &params).await };
        let Some(Ok(mut call)) = self.soon(call).await else {
            return;
        };
        for _ in 0..40 {
            tokio::task::yield_now().await;
        }
        let asked = drain(&mut call);
        let question = asked
            .iter()
            .find(|item| item["method"] == "elicitation/create");
        if let Some(question) = question {
            let id = question["id"].clone();
            self.questions.push(Question {
                session,
                who,
                gate,
                id,
                _call: call,
            });
        }
    }

    async fn notify(&mut self, by: usize, kind: usize) {
        let Some((session, who)) = self.seat(by) else {
            return;
        };
        let method = [
            "tools/call",
            "notifications/roots/list_changed",
            "notifications/progress",
            "resources/subscribe",
            "notifications/resources/updated",
            "notifications/cancelled",
            "x/extension",
            "notifications/roots/list_changed",
        ][kind];
        let mut questions = self.questions.iter();
        let asked = questions.find(|question| question.session.id == session.id);
        let token = asked.map_or(json!("p"), |question| question.id.clone());
        let params = json!({ "name": "echo", "progressToken": token, "progress": 1, "_meta": self.tag(who) });
        let message = json!({ "jsonrpc": "2.0", "method": method, "params": params });
        let notifying = async move {
            let _ = session.notify(&message).await;
        };
        self.soon(notifying).await;
    }

    async fn task(&mut self, by: usize, task: usize, method: usize) {
        let Some((session, who)) = self.seat(by) else {
            return;
        };
        let number = self.id();
        let method = ["tasks/get", "tasks/result", "tasks/cancel", "tasks/list"][method];
        let known = task.checked_rem(self.tasks.len());
        let known = known.map(|at| self.tasks[at].clone());
        let Some((id, maker)) = known else { return };
        let params = json!({ "taskId": id, "_meta": self.tag(who) });
        let call = async move { session.request(number, method, &params).await };
        let Some(Ok(answer)) = self.soon(call).await else {
            return;
        };
        if method == "tasks/list" {
            // The server's word decides: the caller of a task may have left before it received the task's id.
            for task in answer["result"]["tasks"].as_array().unwrap() {
                assert_eq!(task["for"], USERS[who], "{answer}");
                let mut known = self.tasks.iter();
                let known = known.find(|(id, _)| task["taskId"] == id.as_str());
                assert!(known.is_none_or(|(_, maker)| *maker == who), "{answer}");
            }
            return;
        }
        assert_eq!(maker, who, "{method} of another's task: {answer}");
        let of = &answer["result"]["for"];
        assert!(of.is_null() || *of == USERS[who], "{answer}");
    }

    fn say(&self, instance: usize, kind: usize) {
        let running = self.site.mind.running();
        let Some(at) = instance.checked_rem(running.len()) else {
            return;
        };
        let key = &running[at];
        let scope = match key.scope() {
            Scope::Principal(id) => Some(id.to_string()),
            _ => None,
        };
        let told = json!({
            "server": key.server().as_str(), "owner": key.owner().to_string(), "scope": scope,
            "step": self.acts.len() - 1,
        });
        let job = format!("job-{}", 1 + instance);
        let (method, mut params) = match kind {
            0 => (
                "notifications/message",
                json!({ "level": "info", "data": "x" }),
            ),
            1 => (
                "notifications/tasks/status",
                json!({ "taskId": job, "for": self.site.mind.made_for(&job) }),
            ),
            _ => (
                "notifications/resources/updated",
                json!({ "uri": format!("mem://{}/a", key.server()) }),
            ),
        };
        params["told"] = told;
        self.site.mind.say(
            key,
            &json!({ "jsonrpc": "2.0", "method": method, "params": params }),
        );
    }
}
