//! The vendor's numbered codes for a job's state, type and category.
//!
//! Source: "Retrieve Scan Job Information" of the `AvePoint` Graph API. The numbering has gaps, so more codes may come:
//! an unknown one is kept as it is and never fails a page.

use std::borrow::Cow;

use serde::{Serialize, Serializer};

macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $code:literal, $word:literal, $label:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$vdoc])* $variant,)+
            /// A code the vendor's page does not list.
            Unknown(i64),
        }

        impl $name {
            /// Every listed value, in the order of the vendor's page.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The value of the API's number.
            #[must_use]
            pub const fn from_code(code: i64) -> Self {
                match code {
                    $($code => Self::$variant,)+
                    other => Self::Unknown(other),
                }
            }

            /// The API's number.
            #[must_use]
            pub const fn code(self) -> i64 {
                match self {
                    $(Self::$variant => $code,)+
                    Self::Unknown(code) => code,
                }
            }

            /// The value of a name as rules write it, or of the API's number in digits.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text {
                    $($word => Some(Self::$variant),)+
                    other => other.parse().ok().map(Self::from_code),
                }
            }

            /// The name as rules write it; the digits of an unknown code.
            #[must_use]
            pub fn name(self) -> Cow<'static, str> {
                match self {
                    $(Self::$variant => Cow::Borrowed($word),)+
                    Self::Unknown(code) => Cow::Owned(code.to_string()),
                }
            }

            /// The words a person reads.
            #[must_use]
            pub fn label(self) -> Cow<'static, str> {
                match self {
                    $(Self::$variant => Cow::Borrowed($label),)+
                    Self::Unknown(code) => Cow::Owned(format!("Unknown ({code})")),
                }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.name())
            }
        }
    };
}

codes! {
    /// How far a job has come, or how it ended.
    State {
        /// Still at work.
        Running = 1, "running", "Running";
        /// Ended well.
        Finished = 2, "finished", "Finished";
        /// Ended badly.
        Failed = 3, "failed", "Failed";
        /// Ended, with some objects not scanned.
        FinishedWithException = 4, "finished_with_exception", "Finished with exception";
        /// Not run, by the service's choice.
        Skipped = 5, "skipped", "Skipped";
        /// Ended by a person.
        Stopped = 10, "stopped", "Stopped";
    }
}

codes! {
    /// What a job scans.
    JobType {
        /// Microsoft 365 or Power Platform objects.
        Microsoft365 = 0, "microsoft_365", "Microsoft 365 scan";
        /// Google objects.
        Google = 10, "google", "Google scan";
        /// Objects listed in an uploaded file.
        BatchImport = 11, "batch_import", "Batch import";
    }
}

codes! {
    /// The category of the scan profile a job runs.
    Category {
        /// Microsoft 365.
        Microsoft365 = 0, "microsoft_365", "Microsoft 365";
        /// Power Platform.
        PowerPlatform = 1, "power_platform", "Power Platform";
        /// Active Directory.
        ActiveDirectory = 2, "active_directory", "Active Directory";
        /// Google.
        Google = 3, "google", "Google";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_code_reads_back_by_number_name_and_digits() {
        for &state in State::ALL {
            assert_eq!(State::from_code(state.code()), state);
            assert_eq!(State::parse(&state.name()), Some(state));
            assert_eq!(State::parse(&state.code().to_string()), Some(state));
        }
    }

    #[test]
    fn an_unknown_code_is_kept() {
        assert_eq!(State::from_code(6), State::Unknown(6));
        assert_eq!(State::Unknown(6).name(), "6");
        assert_eq!(State::parse("faild"), None);
    }
}
