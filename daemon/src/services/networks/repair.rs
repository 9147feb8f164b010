//! Rules that somebody flushed (`pfctl -F all`, `nft flush ruleset`, a reload of the packet filter's module) are loaded again.

use super::bridge::anchor;
use super::{Network, Networks};
use crate::kernel::housekeeping_of;
use protocol::{ErrorCode, Principal};
use std::time::Duration;

/// How often the packet filter is asked what it holds: a container without its ports for so long is noticed by people, and one
/// line more in the audit log each time is not.
const LOOK_INTERVAL: Duration = Duration::from_secs(20);

impl Networks {
    /// Looks after the rules until the daemon ends.
    pub async fn keep_rules(&self, by: &Principal) {
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            if let Err(error) = self.repair_rules(by).await {
                tracing::warn!(%error, "flushed rules were not loaded again");
            }
        }
    }

    async fn repair_rules(&self, by: &Principal) -> Result<(), super::Failure> {
        let _wiring = self.wiring.lock().await;
        let up: Vec<Network> = {
            let table = self.table();
            let up = table
                .values()
                .filter(|live| live.is_up && live.network.is_bridge());
            up.map(|live| live.network.clone()).collect()
        };
        if up.is_empty() {
            return Ok(());
        }
        let loaded = match self.helpers.net.rule_sets(by).await {
            // No rule was ever loaded on such a host.
            Err(error) if error.code() == Some(ErrorCode::Unsupported) => return Ok(()),
            other => other?,
        };
        for network in up {
            if loaded.contains(&anchor(&network)?) {
                continue;
            }
            tracing::warn!(
                network = network.name,
                "its rules were flushed and are loaded again"
            );
            let rules = self.rule_set(&network, &self.port_rules(&network.id))?;
            self.load(&housekeeping_of(network.owner())?, &network, rules)
                .await?;
        }
        Ok(())
    }
}
