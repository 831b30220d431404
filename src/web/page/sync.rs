//! Syncs from the page: shows a preview first, then runs the pass that the operator confirms.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use maud::{Markup, html};

use super::{
    facts::Facts,
    layout::{self, Place, count},
};
use crate::{
    reconcile::{PassRequest, report::PassReport},
    web::{
        answers::{PassErrors, PassRequestErrors},
        body::{Limits, OPERATOR_WITHIN},
        error::AppError,
        state::AppState,
    },
};

/// The form has one field.
const FORM: Limits = Limits { size: 4096, time: OPERATOR_WITHIN };

/// The lines of a plan that are shown.
const LINES: usize = 300;

/// The form at the end of the page.
pub(super) fn offer(facts: &Facts<'_>) -> Markup {
    html! {
        section #sync aria-labelledby="sync-title" {
            div.section-head { h2 #sync-title { "Sync now" } }
            p {
                "The service syncs by itself. To look at once: preview what a sync would do, then confirm."
                @if !facts.snapshot.held.is_empty() { " Held revocations are confirmed there as well." }
            }
            form method="post" action="ui/preview" { button.primary type="submit" { "Preview a sync" } }
        }
    }
}

/// Shows what a sync would do
#[utoipa::path(
    post, path = "/ui/preview", operation_id = "previewSync", tag = "page",
    security(("bearer" = []), ("basic" = [])),
    responses((status = 200, description = "The plan, and a form to confirm it", content_type = "text/html", body = String),
        PassErrors),
)]
pub(crate) async fn preview(State(state): State<Arc<AppState>>) -> Result<Response, AppError> {
    let report = run(&state, PassRequest { dry_run: true, ..PassRequest::default() }).await?;
    let changes = report.created.len() + report.revoked.len();
    let plan = report.to_string();
    let more = plan.lines().count().saturating_sub(LINES);
    let main = html! {
        h1 { "What a sync would do" }
        p.lead {
            @if changes == 0 && report.held.is_empty() { "Nothing: everything is as it should be." }
            @else {
                (count(report.created.len(), "grant")) " to be made, " (report.revoked.len()) " to be revoked, "
                (report.held.len()) " held."
            }
        }
        @if !report.is_complete() {
            div.notice.bad { h2 { "Not everything could be seen" } p { "What is unknown keeps its grants. Held revocations should wait until all is seen." } }
        }
        div.scroll.tall role="region" aria-label="The plan" tabindex="0" {
            pre.plan { @for line in plan.lines().take(LINES) { (line) "\n" } }
        }
        @if more > 0 {
            p.after { "And " (count(more, "more line")) ": " code { "oncall-grants sync --dry-run" } " shows all of them." }
        }
        (confirmation(&report))
    };
    Ok(layout::page(StatusCode::OK, "Preview", Place::Below, &main))
}

fn confirmation(report: &PassReport) -> Markup {
    html! {
        form.confirm method="post" action="sync" {
            h2 { "Confirm" }
            p.quiet { "The sync looks again, so it does what is right then, even if that differs from this preview." }
            @if !report.held.is_empty() {
                label.check {
                    input type="checkbox" name="allow_mass_revocation" value="true";
                    span { "Also revoke the " (count(report.held.len(), "held grant")) ", which wait for a confirmation" }
                }
            }
            div.buttons { button.primary type="submit" { "Sync now" } a.button href="../" { "Back without syncing" } }
        }
    }
}

/// What the form may send.
#[derive(Debug, Default, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Confirmation {
    /// `true` lifts the guard for this pass.
    #[expect(dead_code, reason = "describes the form")]
    #[schema(required = false)]
    allow_mass_revocation: bool,
}

/// Syncs and shows the report
#[utoipa::path(
    post, path = "/ui/sync", operation_id = "confirmSync", tag = "page",
    security(("bearer" = []), ("basic" = [])),
    request_body(content = inline(Confirmation), content_type = "application/x-www-form-urlencoded"),
    responses((status = 303, description = "Done; the page shows the report", headers(("location" = String))),
        PassRequestErrors),
)]
pub(crate) async fn confirm(State(state): State<Arc<AppState>>, body: Body) -> Result<Response, AppError> {
    let body = state.bodies.read(body, FORM).await?;
    let allow_mass_revocation = read_form(&body.bytes)?;
    let report =
        run(&state, PassRequest { guard: allow_mass_revocation.into(), ..PassRequest::default() }).await?;
    let id = &report.pass_id;
    Ok(Redirect::to(&format!("../?pass={id}#pass-{id}")).into_response())
}

fn read_form(body: &[u8]) -> Result<bool, AppError> {
    let mut allow = false;
    for (name, value) in url::form_urlencoded::parse(body.trim_ascii()) {
        allow = match (&*name, &*value) {
            ("allow_mass_revocation", "true") => true,
            ("allow_mass_revocation", "false") => false,
            _ => {
                let message = "the form may only carry allow_mass_revocation, true or false";
                return Err(AppError::BadRequest(message.to_owned()));
            }
        };
    }
    Ok(allow)
}

async fn run(state: &AppState, request: PassRequest) -> Result<Arc<PassReport>, AppError> {
    if state.is_stopping() {
        return Err(AppError::Unavailable("the service is stopping".to_owned()));
    }
    Ok(state.reconciler.sync(request).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guard_is_lifted_only_on_purpose() {
        assert!(!read_form(b"").unwrap());
        assert!(!read_form(b"allow_mass_revocation=false").unwrap());
        assert!(read_form(b"allow_mass_revocation=true").unwrap());
        for wrong in [&b"allow_mass_revocation"[..], b"allow_mass_revocation=1", b"dry_run=true", b"\xff"] {
            assert!(read_form(wrong).is_err(), "{wrong:?}");
        }
    }
}
