//! What a courier asks of a store is little: a store for it is written with the rest left out.

/// Implements [`crate::store::Store`] by these methods; the others are never called.
macro_rules! store_of_a_courier {
    ($store:ty { $($own:tt)* }) => {
        const _: () = {
            use std::{collections::BTreeMap, sync::Arc};

            use jiff::Timestamp;

            use crate::{
                domain::{Delivery, Job, Name, Notice},
                store::{
                    AlertFilter, AlertRow, DeliveryFilter, Gathering, Intake, JobFilter, JobRow, Known, LaterQuery, OldJob, OpenJob,
                    PastQuery, Pruned, Retry, RollUp, SourceRecord, Store, StoreError, Tally, Unjudged,
                },
            };

            #[async_trait::async_trait]
            impl Store for $store {
                $($own)*

                async fn open_source(&self, _: &Name, _: Timestamp) -> Result<SourceRecord, StoreError> {
                    unreachable!("a courier only delivers")
                }

                async fn end_sweep(&self, _: &Name, _: Option<Timestamp>) -> Result<(), StoreError> {
                    unreachable!("a courier only delivers")
                }

                async fn known(&self, _: &Name, _: Vec<String>) -> Result<Vec<Option<Known>>, StoreError> {
                    unreachable!("a courier only delivers")
                }

                async fn alerted(&self, _: &Name, _: &str, _: u32) -> Result<Vec<Name>, StoreError> {
                    unreachable!("a courier only delivers")
                }

                async fn unjudged(&self, _: &Name, _: Timestamp, _: u32) -> Result<Vec<Unjudged>, StoreError> {
                    unreachable!("a courier only delivers")
                }

                async fn judged_later(&self, _: LaterQuery) -> Result<Vec<Unjudged>, StoreError> {
                    unreachable!("a courier only delivers")
                }

                async fn past(&self, _: PastQuery) -> Result<Vec<Arc<Job>>, StoreError> {
                    unreachable!("a courier only delivers")
                }

                async fn open_jobs(&self, _: &Name) -> Result<Vec<OpenJob>, StoreError> {
                    unreachable!("a courier only delivers")
                }

                async fn give_up_on(&self, _: &Name, _: Vec<String>) -> Result<(), StoreError> {
                    unreachable!("a courier only delivers")
                }

                async fn take_in(&self, _: Intake) -> Result<(), StoreError> {
                    unreachable!("a courier only delivers")
                }

                async fn let_through(&self, _: &Name, _: u32) -> Result<Vec<Timestamp>, StoreError> {
                    unreachable!("a courier only delivers")
                }

                async fn held_rules(&self) -> Result<Vec<Name>, StoreError> {
                    unreachable!("a courier only delivers")
                }

                async fn roll_up(&self, _: &Name, _: Timestamp) -> Result<RollUp, StoreError> {
                    unreachable!("a courier only delivers")
                }

                async fn gathering(&self) -> Result<Vec<Gathering>, StoreError> {
                    unreachable!("a courier only delivers")
                }

                async fn send_group(&self, _: &Name, _: &str, _: Timestamp) -> Result<RollUp, StoreError> {
                    unreachable!("a courier only delivers")
                }

                async fn hold_group(&self, _: &Name, _: &str) -> Result<usize, StoreError> {
                    unreachable!("a courier only delivers")
                }

                async fn tell(&self, _: Notice, _: Vec<Name>, _: Timestamp) -> Result<bool, StoreError> {
                    unreachable!("a courier only delivers")
                }

                async fn told(&self) -> Result<BTreeMap<String, Timestamp>, StoreError> {
                    unreachable!("a courier only delivers")
                }

                async fn old_jobs(&self, _: &Name, _: Timestamp, _: OldJob, _: u32) -> Result<(Vec<String>, OldJob), StoreError> {
                    unreachable!("a courier only delivers")
                }

                async fn note_listed(&self, _: &Name, _: Vec<(String, bool)>) -> Result<(), StoreError> {
                    unreachable!("a courier only delivers")
                }

                async fn prune(&self, _: &Name, _: Timestamp) -> Result<Pruned, StoreError> {
                    unreachable!("a courier only delivers")
                }

                async fn retry(&self, _: Retry, _: Timestamp) -> Result<usize, StoreError> {
                    unreachable!("a courier only delivers")
                }

                async fn history(&self, _: Timestamp, _: Option<(Name, String, u32)>, _: u32) -> Result<Vec<(Job, u32)>, StoreError> {
                    unreachable!("delivery lists nothing")
                }

                async fn jobs(&self, _: JobFilter) -> Result<Vec<JobRow>, StoreError> {
                    unreachable!("a courier only delivers")
                }

                async fn alerts(&self, _: AlertFilter) -> Result<Vec<AlertRow>, StoreError> {
                    unreachable!("a courier only delivers")
                }

                async fn deliveries(&self, _: DeliveryFilter) -> Result<Vec<Delivery>, StoreError> {
                    unreachable!("a courier only delivers")
                }

                async fn tally(&self) -> Result<Tally, StoreError> {
                    unreachable!("a courier only delivers")
                }

                fn trouble(&self) -> Option<StoreError> {
                    None
                }
            }
        };
    };
}

pub(super) use store_of_a_courier;
