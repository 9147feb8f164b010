//! Which addresses stand for a registry's name, and the clients that reach them.

use super::error::RegistryError;
use super::{RegistrySettings, host_of};
use docker_api::reference::DOMAIN_DEFAULT;
use ipnet::IpNet;
use reqwest::{Certificate, Client, Identity, Url, redirect};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Redirections of one request: a registry sends a client on to a store once or twice.
const REDIRECTS_MAX: usize = 10;

/// Who asks, for the registry's logs.
const USER_AGENT: &str = concat!("cellblock/", env!("CARGO_PKG_VERSION"));

/// One address that stands for a registry.
#[derive(Debug, Clone)]
pub(in super::super) struct Place {
    /// Scheme, host and port.
    pub(super) base: String,
    /// Reaches it.
    pub(super) client: Client,
    /// Whether passwords may go there unencrypted.
    pub(super) may_be_plain: bool,
    /// Whether it stands for another registry and only gives.
    pub(super) is_mirror: bool,
    /// The pause before a download from it is tried again.
    pub(super) pause: Duration,
}

impl Place {
    /// Whether an address is this place's own: what a client says about itself goes nowhere else.
    pub(super) fn owns(&self, url: &Url) -> bool {
        Url::parse(&self.base).is_ok_and(|base| base.origin() == url.origin())
    }
}

/// All registries.
#[derive(Debug, Clone)]
pub(in super::super) struct Places {
    settings: Arc<RegistrySettings>,
}

impl Places {
    /// Registries as the administrator has them.
    pub(in super::super) fn new(settings: RegistrySettings) -> Self {
        Places {
            settings: Arc::new(settings),
        }
    }

    /// The addresses for a registry, to be tried in order.
    ///
    /// # Errors
    /// Where its certificates cannot be read.
    pub(in super::super) fn of(
        &self,
        domain: &str,
        wants_mirrors: bool,
    ) -> Result<Vec<Place>, RegistryError> {
        let mut places = Vec::new();
        if domain == DOMAIN_DEFAULT && wants_mirrors {
            for mirror in &self.settings.mirrors {
                let base = mirror.trim_end_matches('/').to_owned();
                let host = base.split("://").nth(1).unwrap_or_default().to_owned();
                let is_insecure = self.is_insecure(&host);
                places.push(Place {
                    may_be_plain: base.starts_with("http://"),
                    client: self.client(&host, is_insecure || base.starts_with("http://"))?,
                    base,
                    is_mirror: true,
                    pause: self.settings.patience.pause,
                });
            }
        }
        let host = host_of(domain);
        let is_insecure = self.is_insecure(host);
        let client = self.client(host, is_insecure)?;
        let schemes: &[&str] = if is_insecure {
            &["https", "http"]
        } else {
            &["https"]
        };
        places.extend(schemes.iter().map(|scheme| Place {
            base: format!("{scheme}://{host}"),
            client: client.clone(),
            may_be_plain: is_insecure,
            is_mirror: false,
            pause: self.settings.patience.pause,
        }));
        Ok(places)
    }

    fn is_insecure(&self, host: &str) -> bool {
        let name = name_of(host);
        let address: Option<IpAddr> = name.parse().ok();
        let listed = |entry: &String| {
            let in_net = |net: IpNet| address.is_some_and(|address| net.contains(&address));
            entry == host || entry == name || entry.parse().is_ok_and(in_net)
        };
        name == "localhost"
            || address.is_some_and(|address| address.is_loopback())
            || self.settings.insecure.iter().any(listed)
    }

    fn client(&self, host: &str, is_insecure: bool) -> Result<Client, RegistryError> {
        let mut builder = Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(self.settings.patience.connect)
            .read_timeout(self.settings.patience.stall)
            .redirect(redirect::Policy::custom(follow))
            .no_proxy();
        if is_insecure {
            builder = builder.tls_danger_accept_invalid_certs(true);
        }
        let own = self
            .settings
            .certs_dir
            .as_ref()
            .map(|directory| directory.join(host));
        if let Some(own) = own.filter(|own| own.is_dir()) {
            let (authorities, identity) = certificates(&own)?;
            builder = builder.tls_certs_merge(authorities);
            if let Some(identity) = identity {
                builder = builder.identity(identity);
            }
        }
        builder
            .build()
            .map_err(|error| RegistryError::connection("Get", &format!("https://{host}/v2/"), &error))
    }
}

/// Follows a registry to its store, but never from an encrypted connection to a plain one.
fn follow(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let was_https = attempt
        .previous()
        .last()
        .is_some_and(|url| url.scheme() == "https");
    if was_https && attempt.url().scheme() != "https" {
        return attempt.error("the registry redirects from HTTPS to plain HTTP");
    }
    if attempt.previous().len() > REDIRECTS_MAX {
        return attempt.error("stopped after 10 redirects");
    }
    attempt.follow()
}

/// The host without its port or brackets.
fn name_of(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    }
}

/// What a directory of `certs.d` holds, by dockerd's rule of names.
fn certificates(directory: &Path) -> Result<(Vec<Certificate>, Option<Identity>), RegistryError> {
    let (mut authorities, mut identity) = (Vec::new(), None);
    let bad = |path: &Path, error: &dyn std::fmt::Display| {
        RegistryError::Io(format!("{}: {error}", path.display()))
    };
    for entry in std::fs::read_dir(directory).map_err(|error| bad(directory, &error))? {
        let path = entry?.path();
        let read = |path: &Path| std::fs::read(path).map_err(|error| bad(path, &error));
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => {
                let bundle = Certificate::from_pem_bundle(&read(&path)?);
                authorities.extend(bundle.map_err(|error| bad(&path, &error))?);
            }
            Some("cert") => {
                let key = path.with_extension("key");
                if !key.exists() {
                    let text = format!(
                        "missing key {} for client certificate {}",
                        key.display(),
                        path.display()
                    );
                    return Err(RegistryError::Io(text));
                }
                let both = [read(&key)?, b"\n".to_vec(), read(&path)?].concat();
                identity = Some(Identity::from_pem(&both).map_err(|error| bad(&path, &error))?);
            }
            Some(_) | None => {}
        }
    }
    Ok((authorities, identity))
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::registry::{FakeRegistry, authority};
    use super::*;

    fn bases(domain: &str, wants_mirrors: bool) -> Vec<String> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let settings = RegistrySettings {
            insecure: vec!["10.0.0.0/8".to_owned(), "lab.example.org".to_owned()],
            mirrors: vec!["http://mirror.example.org:5000/".to_owned()],
            certs_dir: None,
            ..RegistrySettings::default()
        };
        let places = Places::new(settings).of(domain, wants_mirrors).unwrap();
        places.into_iter().map(|place| place.base).collect()
    }

    #[test]
    fn only_listed_registries_are_asked_without_tls() {
        for (domain, expected) in [
            ("ghcr.io", &["https://ghcr.io"][..]),
            (
                "127.0.0.1:5000",
                &["https://127.0.0.1:5000", "http://127.0.0.1:5000"],
            ),
            ("localhost:1", &["https://localhost:1", "http://localhost:1"]),
            ("[::1]:5000", &["https://[::1]:5000", "http://[::1]:5000"]),
            ("10.1.2.3", &["https://10.1.2.3", "http://10.1.2.3"]),
            ("11.1.2.3", &["https://11.1.2.3"]),
            (
                "lab.example.org:80",
                &["https://lab.example.org:80", "http://lab.example.org:80"],
            ),
            ("docker.io", &["https://registry-1.docker.io"]),
        ] {
            assert_eq!(bases(domain, false), expected, "{domain}");
        }
        let with_mirror = ["http://mirror.example.org:5000", "https://registry-1.docker.io"];
        assert_eq!(bases("docker.io", true), with_mirror);
        assert_eq!(bases("ghcr.io", true), ["https://ghcr.io"]);
    }

    #[test]
    fn a_certificate_without_its_key_is_told() {
        let directory = std::env::temp_dir().join(format!("cb-certs-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("own.cert"), "x").unwrap();
        let told = certificates(&directory).unwrap_err().to_string();
        std::fs::remove_dir_all(&directory).unwrap();
        assert!(told.starts_with("missing key"), "{told}");
    }

    #[test]
    fn a_registry_and_we_are_believed_by_the_authority_in_its_directory() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = authority();
        let registry = FakeRegistry::with_tls(&folder);
        let (certs, host) = (folder.join("certs.d"), registry.host());
        let settings = RegistrySettings {
            certs_dir: Some(certs.clone()),
            ..RegistrySettings::default()
        };
        let places = Places::new(settings);
        let ask = || {
            let client = places.client(&host, false).unwrap();
            let url = format!("https://{host}/v2/");
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let answer = runtime.block_on(async { client.get(&url).send().await });
            answer.map(|answer| answer.status().as_u16())
        };
        assert!(ask().is_err(), "nobody vouches for it");
        let own = certs.join(&host);
        std::fs::create_dir_all(&own).unwrap();
        std::fs::copy(folder.join("ca.crt"), own.join("ca.crt")).unwrap();
        assert!(ask().is_err(), "it wants to know who we are");
        for name in ["own.cert", "own.key"] {
            std::fs::copy(folder.join(name), own.join(name)).unwrap();
        }
        assert_eq!(ask().unwrap(), 200);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
