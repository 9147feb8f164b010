//! Names between containers, and the files that say who is who.

use system_tests::docker;
use system_tests::docker::Docker;

fn looked_up(docker: &Docker, from: &str, name: &str) -> String {
    let ran = docker.run(&format!("exec {from} nslookup {name}"));
    ran.out + &ran.err
}

fn address(docker: &Docker, container: &str, network: &str) -> String {
    let path = format!("(index .NetworkSettings.Networks \"{network}\").IPAddress");
    docker.ok(&format!("inspect --format '{{{{{path}}}}}' {container}"))
}

#[test]
fn members_of_a_network_find_each_other_by_every_name() {
    let docker = docker!();
    docker.ok("network create nn-a");
    docker.ok("network create nn-b");
    docker.ok("run -d --name nn-web --network nn-a --network-alias www --network-alias both --hostname host-web base sleep 600");
    docker.ok("run -d --name nn-db --network nn-a --network-alias both --link nn-web:linked base sleep 600");
    docker.ok("run -d --name nn-far --network nn-b --network-alias secret base sleep 600");
    let web = address(&docker, "nn-web", "nn-a");
    let id = docker.ok("inspect --format '{{.Id}}' nn-web");
    for name in [
        "nn-web",
        "www",
        "host-web",
        "NN-WEB",
        "nn-web.nn-a",
        "linked",
        &id[..12],
    ] {
        let found = looked_up(&docker, "nn-db", name);
        assert!(found.contains(&web), "{name}: {found}");
    }
    let found = looked_up(&docker, "nn-db", "both");
    assert!(
        found.contains(&web) && found.contains(&address(&docker, "nn-db", "nn-a")),
        "{found}"
    );
    let back = looked_up(&docker, "nn-db", &web);
    assert!(back.contains("nn-web.nn-a"), "{back}");
    // Another network's names are not told, neither by its own server nor by the other's.
    let far = address(&docker, "nn-far", "nn-b");
    let other_server = docker.ok("network inspect --format '{{(index .IPAM.Config 0).Gateway}}' nn-b");
    for question in [
        "nn-far",
        "secret",
        "secret.nn-b",
        &format!("secret {other_server}"),
    ] {
        let found = looked_up(&docker, "nn-db", question);
        assert!(!found.contains(&far), "{question}: {found}");
    }
    // A container that joins is found, and finds, at once; one that was renamed too.
    docker.ok("network connect --alias late nn-a nn-far");
    assert!(looked_up(&docker, "nn-db", "late").contains(&address(&docker, "nn-far", "nn-a")));
    assert!(looked_up(&docker, "nn-far", "www").contains(&web));
    assert!(looked_up(&docker, "nn-far", "secret").contains(&far));
    docker.ok("rename nn-web nn-new");
    assert!(looked_up(&docker, "nn-db", "nn-new").contains(&web));
    docker.ok("rm -f nn-new nn-db nn-far");
    docker.ok("network rm nn-a nn-b");
}

#[test]
fn the_files_say_what_was_asked_for() {
    let docker = docker!();
    let cat = "base sh -c 'cat /etc/hosts /etc/resolv.conf; hostname'";
    let said = docker.ok(&format!(
        "run --rm --add-host a:192.0.2.7 --add-host up:host-gateway --dns 192.0.2.53 --dns-search lan --dns-option ndots:3 \
         --hostname hn --domainname dom {cat}"
    ));
    let gateway = docker.ok("network inspect --format '{{(index .IPAM.Config 0).Gateway}}' bridge");
    for line in [
        "192.0.2.7\ta",
        &format!("{gateway}\tup"),
        "nameserver 192.0.2.53",
        "search lan",
        "options ndots:3",
        "hn",
    ] {
        assert!(said.lines().any(|said| said == line), "{line}: {said}");
    }
    assert!(said.contains("\thn.dom hn\n"), "{said}");
    docker.ok("network create nn-f");
    let said = docker.ok(&format!("run --rm --network nn-f --dns 192.0.2.53 {cat}"));
    let own = docker.ok("network inspect --format '{{(index .IPAM.Config 0).Gateway}}' nn-f");
    assert!(
        said.contains(&format!("nameserver {own}\n")) && said.contains("ndots:0"),
        "{said}"
    );
    docker.ok("network rm nn-f");
}

#[test]
fn old_links_name_a_container_that_runs() {
    let docker = docker!();
    docker.ok("run -d --name nn-l1 --expose 5 -e COLOUR=red base sleep 600");
    let said = docker.ok("run --rm --name nn-l2 --link nn-l1:db base sh -c 'cat /etc/hosts; env'");
    let address = address(&docker, "nn-l1", "bridge");
    assert!(
        said.contains(&format!("{address}\tdb ")) && said.contains(" nn-l1\n"),
        "{said}"
    );
    for variable in [
        "DB_NAME=/nn-l2/db",
        "DB_ENV_COLOUR=red",
        &format!("DB_PORT_5_TCP=tcp://{address}:5"),
    ] {
        assert!(said.lines().any(|line| line == variable), "{variable}: {said}");
    }
    let said = docker.fails(125, "run --rm --link nn-nosuch:x base true");
    assert!(
        said.contains("could not get container for nn-nosuch: No such container: nn-nosuch"),
        "{said}"
    );
    docker.ok("stop -t 0 nn-l1");
    let said = docker.fails(125, "run --rm --name nn-l3 --link nn-l1:x base true");
    assert!(
        said.contains("Cannot link to a non running container: /nn-l1 AS /nn-l3/x"),
        "{said}"
    );
    docker.ok("rm -f nn-l1");
}
