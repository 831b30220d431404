//! The shapes of answers that several routes share: the body of every error, and which errors a kind of route has.

use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

/// How errors are answered on every route.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Error)]
pub(crate) struct ErrorBody {
    /// A code for programs.
    #[schema(example = "bad_request", value_type = String)]
    pub(super) error: &'static str,
    /// What to do about it, for people.
    #[schema(example = "limit must be a whole number from 1 to 500")]
    pub(super) message: String,
}

macro_rules! errors {
    ($(#[$doc:meta])* $name:ident { $($variant:ident($status:literal, $words:literal)),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(IntoResponses)]
        #[allow(dead_code, clippy::enum_variant_names, reason = "describes answers")]
        pub(crate) enum $name {
            $(
                #[doc = $words]
                #[response(status = $status, description = $words)]
                $variant(#[to_schema] ErrorBody),
            )+
        }
    };
}

errors!(
    /// The errors of every operator's route.
    AdminErrors {
        NotAdmin(401, "The admin token is missing or wrong"),
        CrossSite(403, "The request came from another site"),
        MethodNotAllowed(405, "The route exists, but not for this method"),
        Internal(500, "A defect, or the store failed; the log says more"),
    }
);
errors!(
    /// The errors of an operator's route that reads a query and the store.
    QueryErrors {
        BadRequest(400, "The query is malformed"),
        NotAdmin(401, "The admin token is missing or wrong"),
        CrossSite(403, "The request came from another site"),
        MethodNotAllowed(405, "The route exists, but not for this method"),
        Internal(500, "A defect, or the store failed; the log says more"),
        Unavailable(503, "The store cannot be used now, or took too long; come again"),
    }
);
errors!(
    /// The errors of an operator's route that reads the store.
    StoreErrors {
        NotAdmin(401, "The admin token is missing or wrong"),
        CrossSite(403, "The request came from another site"),
        MethodNotAllowed(405, "The route exists, but not for this method"),
        Internal(500, "A defect, or the store failed; the log says more"),
        Unavailable(503, "The store cannot be used now, or took too long; come again"),
    }
);
errors!(
    /// The errors of an operator's route that runs a pass.
    PassErrors {
        NotAdmin(401, "The admin token is missing or wrong"),
        CrossSite(403, "The request came from another site"),
        MethodNotAllowed(405, "The route exists, but not for this method"),
        Internal(500, "A defect, or the store failed; the log says more"),
        Unavailable(503, "The store cannot be used now, or the service is stopping; come again"),
    }
);
errors!(
    /// The errors of an operator's route that reads a body and runs a pass.
    PassRequestErrors {
        BadRequest(400, "The body is malformed"),
        NotAdmin(401, "The admin token is missing or wrong"),
        CrossSite(403, "The request came from another site"),
        MethodNotAllowed(405, "The route exists, but not for this method"),
        TooLarge(413, "The body is too large"),
        Internal(500, "A defect, or the store failed; the log says more"),
        Unavailable(503, "The store cannot be used now, the service is stopping, or too many bodies at once; come again"),
    }
);
