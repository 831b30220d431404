//! Enums whose variants are words of reports, metrics and the store.

/// Declares an enum with a word for each variant, by which it is written, read and counted, and with `Other` for every
/// word that only another version knows.
macro_rules! words {
    (
        $(#[$doc:meta])*
        $name:ident {
            $($(#[$about:meta])* $variant:ident = $word:tt,)+
        }
    ) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
            utoipa::ToSchema,
        )]
        pub enum $name {
            $($(#[$about])* #[serde(rename = $word)] $variant,)+
            /// A word that only another version knows.
            #[serde(rename = "other", other)]
            Other,
        }

        impl $name {
            /// The word for it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::Other => "other",
                }
            }
        }
    };
}

pub(crate) use words;
