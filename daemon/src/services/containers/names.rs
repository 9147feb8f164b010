//! The names by which a container's neighbours find it. Pure.

use super::attachment::Attachment;
use super::state::Container;

/// The names of a container on a user-defined network: its own, its aliases, the beginning of its id, its host name; each once.
/// None on other networks, as in dockerd.
#[must_use]
pub(super) fn of_container(container: &Container, attachment: &Attachment) -> Option<Vec<String>> {
    if matches!(attachment.network.as_str(), "bridge" | "host" | "none") {
        return None;
    }
    let short_id = container.id.get(..12).unwrap_or(&container.id);
    let aliases = attachment.wish.aliases.iter().flatten().map(String::as_str);
    let all = std::iter::once(container.name.as_str())
        .chain(aliases)
        .chain([short_id, container.config.hostname.as_str()]);
    let mut names: Vec<String> = Vec::new();
    for name in all.filter(|name| !name.is_empty()) {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::super::state::{Phase, tests::container};
    use super::*;

    #[test]
    fn each_name_stands_there_once_and_only_on_user_defined_networks() {
        let mut subject = container(Phase::Created);
        subject.config.hostname = "web".to_owned();
        let mut attachment = Attachment {
            network: "n1".to_owned(),
            ..Attachment::default()
        };
        attachment.wish.aliases = Some(vec!["web".to_owned(), "x".to_owned(), "db".to_owned()]);
        let names = of_container(&subject, &attachment).unwrap();
        assert_eq!(names, ["x", "web", "db", "abababababab"]);
        attachment.network = "bridge".to_owned();
        assert_eq!(of_container(&subject, &attachment), None);
    }
}
