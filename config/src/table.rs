//! What a row of the table of settings is, and the macro that turns the rows into structs.
//!
//! A macro and not a derive: one row has to become a field, a default, a line of the reference page and a
//! reading from text, and a function cannot make fields.

/// One setting, as people see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its key, such as `http.listen`.
    pub key: &'static str,
    /// Its default, as text.
    pub default: &'static str,
    /// What a value looks like, such as `a duration such as 2s`.
    pub expected: &'static str,
    /// What it is for.
    pub doc: &'static str,
}

/// Declares [`crate::Config`], its sections and [`crate::SETTINGS`] from one table.
macro_rules! settings {
    (
        top {
            $( #[doc = $top_doc:literal] $( #[doc = $top_more:literal] )* $top:ident: $Top:ty = $top_default:literal; )*
        }
        $(
            #[doc = $section_doc:literal]
            $section:ident: $Section:ident {
                $( #[doc = $doc:literal] $( #[doc = $more:literal] )* $key:ident: $Type:ty = $default:literal; )*
            }
        )*
    ) => {
        /// All settings, merged and checked.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Config {
            $( #[doc = $top_doc] $( #[doc = $top_more] )* pub $top: $Top, )*
            $( #[doc = $section_doc] pub $section: $Section, )*
        }

        $(
            #[doc = $section_doc]
            #[derive(Clone, Debug, PartialEq, Eq)]
            pub struct $Section {
                $( #[doc = $doc] $( #[doc = $more] )* pub $key: $Type, )*
            }
        )*

        /// Every setting, in the order of the reference page.
        pub const SETTINGS: &[Setting] = &[
            $( Setting {
                key: stringify!($top),
                default: $top_default,
                expected: <$Top as SettingValue>::EXPECTED,
                doc: concat!($top_doc $(, "\n", $top_more)*),
            }, )*
            $($( Setting {
                key: concat!(stringify!($section), ".", stringify!($key)),
                default: $default,
                expected: <$Type as SettingValue>::EXPECTED,
                doc: concat!($doc $(, "\n", $more)*),
            }, )*)*
        ];

        impl Config {
            /// Reads every setting before it gives up, so that all problems are told at once.
            pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Config> {
                $( let $top = reader.read::<$Top>(stringify!($top)); )*
                $(
                    let $section = {
                        $( let $key = reader.read::<$Type>(concat!(stringify!($section), ".", stringify!($key))); )*
                        move || Some($Section { $( $key: $key? ),* })
                    };
                )*
                Some(Config { $( $top: $top?, )* $( $section: $section()?, )* })
            }
        }
    };
}

pub(crate) use settings;
