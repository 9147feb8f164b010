//! Being written.
use crate::config::Settings;
use crate::services::containers::Containers;
use crate::services::images::Images;
use crate::transport::Helpers;
use std::sync::Arc;

/// Being written.
#[derive(Debug, Clone)]
pub struct Builder;

impl Builder {
    /// Being written.
    #[must_use]
    pub fn new(_: Containers, _: Images, _: Helpers, _: Arc<Settings>) -> Self {
        Builder
    }
}
