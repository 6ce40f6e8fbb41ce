//! The request handler of the fixture. It delegates each request to the file of its subject, and itself handles only
//! paging and the selection of eras.

use std::{borrow::Cow, sync::Arc};

use clap::ValueEnum;
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CancelTaskParams, CompleteRequestParams,
        CompleteResult, CompletionInfo, DiscoverRequestMethod, DiscoverResult,
        GetPromptRequestParams, GetPromptResponse, GetTaskParams, GetTaskResult, Implementation,
        InitializeRequestParams, InitializeResult, InitializeResultMethod, ListPromptsResult,
        ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
        ProtocolVersion, ReadResourceRequestParams, ReadResourceResponse, ServerCapabilities,
        ServerConfig, SetLevelRequestParams, SubscribeRequestParams, SubscriptionFilter, Tool,
        UnsubscribeRequestParams, UpdateTaskParams,
    },
    service::{NotificationContext, RequestContext, SubscriptionContext},
    task_manager::TaskManager,
};

use crate::{
    changes::{Changes, Session},
    eras, prompts, resources, tools,
};

/// The protocol eras that the fixture serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Era {
    /// `initialize` and sessions, up to 2025-11-25.
    Legacy,
    /// Stateless, from 2026-07-28 on.
    Modern,
    /// Both, as the client requests.
    Both,
}

/// The server. Clones share tasks and changes.
#[derive(Clone)]
pub(crate) struct Fixture {
    era: Era,
    page_size: Option<usize>,
    tasks: TaskManager,
    changes: Arc<Changes>,
    session: Arc<Session>,
}

type Page = Option<PaginatedRequestParams>;
type Context = RequestContext<RoleServer>;

// === impl Fixture ===

impl Fixture {
    pub(crate) fn new(era: Era, page_size: Option<usize>) -> Self {
        Self {
            era,
            page_size,
            tasks: TaskManager::new(),
            changes: Arc::new(Changes::new()),
            session: Arc::new(Session::new()),
        }
    }

    /// Returns the same server for another session.
    pub(crate) fn with_own_session(&self) -> Self {
        let session = Arc::new(Session::new());
        Self {
            session,
            ..self.clone()
        }
    }

    pub(crate) fn tasks(&self) -> &TaskManager {
        &self.tasks
    }

    pub(crate) fn changes(&self) -> &Changes {
        &self.changes
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// Returns `true` if a request belongs to the modern era.
    pub(crate) fn is_modern(cx: &Context) -> bool {
        cx.protocol_version()
            .is_some_and(|version| version.as_str() >= ProtocolVersion::V_2026_07_28.as_str())
    }

    /// Returns one page of a list, and the cursor of the next.
    fn page<T>(&self, items: Vec<T>, page: Page) -> Result<(Vec<T>, Option<String>), ErrorData> {
        let start = match page.and_then(|page| page.cursor) {
            None => 0,
            Some(cursor) => cursor
                .strip_prefix("from-")
                .and_then(|start| start.parse().ok())
                .filter(|start| *start < items.len())
                .ok_or_else(|| ErrorData::invalid_params("invalid cursor", None))?,
        };
        let size = self.page_size.unwrap_or(usize::MAX).max(1);
        let end = start.saturating_add(size);
        let next = (end < items.len()).then(|| format!("from-{end}"));
        Ok((items.into_iter().skip(start).take(size).collect(), next))
    }
}

impl ServerHandler for Fixture {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_logging()
            .enable_completions()
            .enable_prompts()
            .enable_prompts_list_changed()
            .enable_resources()
            .enable_resources_subscribe()
            .enable_tools()
            .enable_tool_list_changed()
            .enable_tasks()
            .build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new(
                "fixture-server",
                env!("CARGO_PKG_VERSION"),
            ))
            .with_instructions("Holds what the conformance scenarios call.")
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        let known = ProtocolVersion::KNOWN_VERSIONS;
        let wanted = |version: &&ProtocolVersion| {
            let modern = version.as_str() >= ProtocolVersion::V_2026_07_28.as_str();
            self.era == Era::Both || modern == (self.era == Era::Modern)
        };
        Cow::Owned(known.iter().filter(wanted).cloned().collect())
    }

    async fn initialize(
        &self,
        request: InitializeRequestParams,
        cx: Context,
    ) -> Result<InitializeResult, ErrorData> {
        if self.era == Era::Modern {
            return Err(ErrorData::method_not_found::<InitializeResultMethod>());
        }
        let result = self.negotiate_initialize(&request);
        cx.peer.set_peer_info(request);
        result
    }

    async fn discover(&self, _: Context) -> Result<DiscoverResult, ErrorData> {
        if self.era == Era::Legacy {
            return Err(ErrorData::method_not_found::<DiscoverRequestMethod>());
        }
        let versions = self.supported_protocol_versions().into_owned();
        Ok(DiscoverResult::from_server_info(versions, self.get_info()))
    }

    async fn on_initialized(&self, cx: NotificationContext<RoleServer>) {
        self.changes.join(cx.peer, Arc::clone(&self.session));
    }

    async fn list_tools(&self, page: Page, _: Context) -> Result<ListToolsResult, ErrorData> {
        let tools = tools::list(self.changes.has_dynamic_tool());
        let (tools, next) = self.page(tools, page)?;
        let mut result = ListToolsResult::with_all_items(tools);
        result.next_cursor = next;
        Ok(result)
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        tools::list(true).into_iter().find(|tool| tool.name == name)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        cx: Context,
    ) -> Result<CallToolResponse, ErrorData> {
        tools::call(self, &request, &cx).await
    }

    async fn list_prompts(&self, page: Page, _: Context) -> Result<ListPromptsResult, ErrorData> {
        let prompts = prompts::list(self.changes.has_dynamic_prompt());
        let (prompts, next) = self.page(prompts, page)?;
        let mut result = ListPromptsResult::with_all_items(prompts);
        result.next_cursor = next;
        Ok(result)
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        cx: Context,
    ) -> Result<GetPromptResponse, ErrorData> {
        eras::prompt(request, &cx, prompts::get).await
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        _: Context,
    ) -> Result<CompleteResult, ErrorData> {
        let words = prompts::complete(&request.r#ref, &request.argument);
        CompletionInfo::with_all_values(words)
            .map(CompleteResult::new)
            .map_err(|reason| ErrorData::internal_error(reason, None))
    }

    async fn list_resources(
        &self,
        page: Page,
        _: Context,
    ) -> Result<ListResourcesResult, ErrorData> {
        let (resources, next) = self.page(resources::list(), page)?;
        let mut result = ListResourcesResult::with_all_items(resources);
        result.next_cursor = next;
        Ok(result)
    }

    async fn list_resource_templates(
        &self,
        page: Page,
        _: Context,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let (templates, next) = self.page(resources::templates(), page)?;
        let mut result = ListResourceTemplatesResult::with_all_items(templates);
        result.next_cursor = next;
        Ok(result)
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: Context,
    ) -> Result<ReadResourceResponse, ErrorData> {
        resources::read(&request.uri, &self.changes).map(Into::into)
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        _: Context,
    ) -> Result<(), ErrorData> {
        self.session.watch(request.uri);
        Ok(())
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        _: Context,
    ) -> Result<(), ErrorData> {
        self.session.unwatch(&request.uri);
        Ok(())
    }

    async fn set_level(&self, request: SetLevelRequestParams, _: Context) -> Result<(), ErrorData> {
        self.session.set_level(request.level);
        Ok(())
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn listen(&self, stream: SubscriptionContext) -> Result<(), ErrorData> {
        self.changes.tell(&stream).await;
        Ok(())
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        _: Context,
    ) -> Result<GetTaskResult, ErrorData> {
        self.tasks
            .get_task(&request.task_id)
            .map(GetTaskResult::new)
    }

    async fn update_task(&self, request: UpdateTaskParams, _: Context) -> Result<(), ErrorData> {
        self.tasks
            .update_task(&request.task_id, request.input_responses)
    }

    async fn cancel_task(&self, request: CancelTaskParams, _: Context) -> Result<(), ErrorData> {
        self.tasks.cancel_task(&request.task_id)
    }
}
