//! `docker cp`, both ways.

use crate::folder::Folder;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::process::{Command, Stdio};
use system_tests::docker;
use system_tests::docker::Docker;
use system_tests::tarball::Tarball;

fn running(docker: &Docker, name: &str) {
    docker.ok(&format!("run -d --name {name} base sleep 600"));
}

#[test]
fn a_file_goes_in_and_comes_back() {
    let docker = docker!();
    let folder = Folder::new("cp1");
    folder.write("f", "content");
    folder.set_mode("f", 0o640);
    running(&docker, "cp-1");
    docker.ok(&format!("cp {folder}/f cp-1:/tmp"));
    docker.ok(&format!("cp {folder}/f cp-1:/tmp/renamed"));
    let stat = "exec cp-1 stat -c '%a %u:%g %s' /tmp/f /tmp/renamed";
    assert_eq!(docker.ok(stat), "640 0:0 7\n640 0:0 7");
    docker.ok(&format!("cp cp-1:/tmp/renamed {folder}"));
    docker.ok(&format!("cp cp-1:/tmp/f {folder}/back"));
    assert_eq!(
        (folder.read("renamed").as_str(), folder.read("back").as_str()),
        ("content", "content")
    );
    assert_eq!(fs::metadata(folder.path("back")).unwrap().mode() & 0o7777, 0o640);
    docker.ok("rm -f cp-1");
}

#[test]
fn a_folder_goes_into_one_that_is_there_and_becomes_one_that_is_not() {
    let docker = docker!();
    let folder = Folder::new("cp2");
    folder.write("d/a", "A");
    folder.write("d/sub/b", "B");
    symlink("sub/b", folder.path("d/link")).unwrap();
    running(&docker, "cp-2");
    docker.ok(&format!("cp {folder}/d cp-2:/tmp"));
    docker.ok(&format!("cp {folder}/d cp-2:/tmp/new"));
    docker.ok(&format!("cp {folder}/d/. cp-2:/home"));
    for place in ["/tmp/d", "/tmp/new", "/home"] {
        assert_eq!(
            docker.ok(&format!("exec cp-2 cat {place}/a {place}/sub/b {place}/link")),
            "ABB",
            "{place}"
        );
    }
    assert_eq!(docker.ok("exec cp-2 readlink /tmp/d/link"), "sub/b");
    docker.ok(&format!("cp cp-2:/tmp/d {folder}/out"));
    fs::create_dir(folder.path("into")).unwrap();
    docker.ok(&format!("cp cp-2:/tmp/d {folder}/into"));
    for place in ["out", "into/d"] {
        assert_eq!(folder.read(&format!("{place}/sub/b")), "B");
        assert_eq!(
            fs::read_link(folder.path(&format!("{place}/link")))
                .unwrap()
                .to_str(),
            Some("sub/b")
        );
    }
    docker.ok("rm -f cp-2");
}

#[test]
fn a_dash_is_a_tar_stream() {
    let docker = docker!();
    let folder = Folder::new("cp3");
    docker.ok("create --name cp-3 base true");
    let archive = Tarball::new().directory("d/").file("d/f", "streamed").finish();
    let ran = docker.with_input("cp - cp-3:/tmp", &archive);
    assert_eq!(ran.code, 0, "{ran:?}");
    let (code, tar, _) = docker.bytes("cp cp-3:/tmp/d -", b"");
    assert_eq!(code, 0);
    let mut unpack = Command::new("tar")
        .args(["-xf", "-", "-C"])
        .arg(folder.path(""))
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut unpack.stdin.take().unwrap(), &tar).unwrap();
    assert!(unpack.wait().unwrap().success());
    assert_eq!(folder.read("d/f"), "streamed");
    docker.ok("rm cp-3");
}

#[test]
fn files_keep_their_owner_unless_archive_mode_gives_them_to_the_containers_user() {
    let docker = docker!();
    let folder = Folder::new("cp4");
    folder.write("f", "x");
    folder.set_owner("f", 1234);
    for (options, owner) in [("", "1234:1234"), ("-u app", "1000:1000")] {
        docker.ok(&format!("run -d --name cp-4 {options} base sleep 600"));
        docker.ok(&format!("cp {folder}/f cp-4:/tmp/plain"));
        docker.ok(&format!("cp -a {folder}/f cp-4:/tmp/kept"));
        let owners = docker.ok("exec cp-4 stat -c %u:%g /tmp/plain /tmp/kept");
        assert_eq!(owners, format!("1234:1234\n{owner}"), "with {options:?}");
        docker.ok("rm -f cp-4");
    }
}

#[test]
fn what_does_not_run_can_be_copied_from_and_to() {
    let docker = docker!();
    let folder = Folder::new("cp5");
    folder.write("f", "before the start");
    docker.ok("create --name cp-5 base cat /f");
    docker.ok(&format!("cp {folder}/f cp-5:/f"));
    assert_eq!(docker.ok("start -a cp-5"), "before the start");
    docker.ok(&format!("cp cp-5:/f {folder}/after"));
    assert_eq!(folder.read("after"), "before the start");
    docker.ok("rm cp-5");
}

#[test]
fn links_inside_lead_inside() {
    let docker = docker!();
    let folder = Folder::new("cp6");
    running(&docker, "cp-6");
    // The host has the same paths with other content.
    docker.ok("exec cp-6 sh -c 'mkdir /inner; echo inner > /inner/file; ln -s /inner /out; ln -s ../../../../inner/file /up; ln -s /inner/file /abs'");
    docker.ok(&format!("cp cp-6:/out/file {folder}/one"));
    docker.ok(&format!("cp -L cp-6:/abs {folder}/two"));
    docker.ok(&format!("cp -L cp-6:/up {folder}/three"));
    for name in ["one", "two", "three"] {
        assert_eq!(folder.read(name), "inner\n");
    }
    docker.ok(&format!("cp cp-6:/abs {folder}/link"));
    assert_eq!(
        fs::read_link(folder.path("link")).unwrap().to_str(),
        Some("/inner/file")
    );
    folder.write("f", "written through");
    docker.ok(&format!("cp {folder}/f cp-6:/out/"));
    assert_eq!(docker.ok("exec cp-6 cat /inner/f"), "written through");
    docker.ok("rm -f cp-6");
}

#[test]
fn what_is_missing_is_named() {
    let docker = docker!();
    let folder = Folder::new("cp7");
    folder.write("f", "x");
    running(&docker, "cp-7");
    let error = docker.fails(1, &format!("cp cp-7:/no/such {folder}"));
    assert!(
        error.contains("Could not find the file /no/such in container cp-7"),
        "{error}"
    );
    let error = docker.fails(1, &format!("cp {folder}/f cp-7:/no/such/"));
    assert!(error.contains("no such directory"), "{error}");
    let error = docker.fails(1, &format!("cp {folder}/f cp-7:/no/such"));
    assert!(
        error.contains("Could not find the file /no in container cp-7"),
        "{error}"
    );
    let error = docker.fails(1, &format!("cp {folder}/f cp-none:/x"));
    assert!(error.contains("No such container: cp-none"), "{error}");
    assert!(
        docker
            .fails(1, &format!("cp {folder}/none cp-7:/"))
            .contains("no such file")
    );
    docker.ok("rm -f cp-7");
}

#[test]
fn a_big_file_survives_both_ways() {
    let docker = docker!();
    let folder = Folder::new("cp8");
    let big: Vec<u8> = (0..20_000_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    folder.write("big", &big);
    running(&docker, "cp-8");
    docker.ok(&format!("cp {folder}/big cp-8:/tmp/"));
    docker.ok(&format!("cp cp-8:/tmp/big {folder}/back"));
    assert!(fs::read(folder.path("back")).unwrap() == big);
    docker.ok("rm -f cp-8");
}

#[test]
fn a_mount_is_copied_from_and_to_as_the_container_sees_it() {
    let docker = docker!();
    let folder = Folder::new("cp9");
    folder.write("host/f", "from the host");
    folder.write("g", "to the host");
    docker.ok(&format!("run -d --name cp-9 -v {folder}/host:/in base sleep 600"));
    docker.ok(&format!("cp cp-9:/in/f {folder}/out"));
    assert_eq!(folder.read("out"), "from the host");
    docker.ok(&format!("cp {folder}/g cp-9:/in/"));
    assert_eq!(folder.read("host/g"), "to the host");
    docker.ok("rm -f cp-9");
}
