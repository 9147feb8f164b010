//! Tests of `mounts`.

use super::*;

fn bind(text: &str) -> Result<MountPlan, String> {
    parse_bind(text, "").map_err(|failure| failure.to_string())
}

fn name_of(plan: &MountPlan) -> &str {
    plan.volume().unwrap()
}

#[test]
fn binds_are_read_as_dockerd_reads_them() {
    let plan = bind("/a/../b:/x/:ro").unwrap();
    assert_eq!(
        plan.source,
        MountSource::Bind {
            path: "/b".to_owned(),
            create: true,
            alone: false,
        }
    );
    assert_eq!((plan.destination.as_str(), plan.writable), ("/x", false));
    assert_eq!(
        (plan.mode.as_str(), plan.propagation.as_str()),
        ("ro", "rprivate")
    );
    assert_eq!(bind("/a:/x:rshared,ro").unwrap().propagation, "rshared");
    let plan = bind("data:/x").unwrap();
    assert_eq!((name_of(&plan), plan.mode.as_str()), ("data", "z"));
    assert_eq!(plan.anonymous_volume(), None);
    let plan = bind("/x").unwrap();
    assert_eq!((name_of(&plan), plan.anonymous_volume()), ("", Some("")));
    let plan = bind("data:/x:nocopy,ro").unwrap();
    assert!(matches!(plan.source, MountSource::Volume { fill: false, .. }));
}

#[test]
fn bad_binds_are_refused_in_dockerds_words() {
    for (text, words) in [
        (
            "/a:rel",
            "invalid volume specification: '/a:rel': invalid mount config for type \"bind\": invalid mount path: 'rel' mount path must be absolute",
        ),
        ("/a:/b:zz", "invalid mode: zz"),
        ("/a:/b:ro,rw", "invalid mode: ro,rw"),
        ("a:b:c:d", "invalid volume specification: 'a:b:c:d'"),
        ("/foo:rw", "invalid volume specification: '/foo:rw'"),
        (
            "/tmp:/",
            "invalid volume specification: '/tmp:/': invalid mount config for type \"bind\": invalid specification: destination can't be '/'",
        ),
        ("", "invalid volume specification: ''"),
        (
            "xx:/foo:shared",
            "invalid volume specification: 'xx:/foo:shared': invalid mount config for type \"volume\": field BindOptions must not be specified",
        ),
        (
            "/foo:/foo:nocopy",
            "invalid volume specification: '/foo:/foo:nocopy': invalid mount config for type \"bind\": field VolumeOptions must not be specified",
        ),
    ] {
        assert_eq!(bind(text).unwrap_err(), words);
    }
}

fn mount(json: &str) -> Result<MountPlan, String> {
    let mount: Mount = serde_json::from_str(json).unwrap();
    parse_mount(&mount).map_err(|failure| failure.to_string())
}

#[test]
fn long_mounts_are_refused_in_dockerds_words() {
    for (json, words) in [
        (
            r#"{"Type":"zz","Target":"/x"}"#,
            "invalid mount config for type \"zz\": mount type unknown",
        ),
        (
            r#"{"Type":"bind","Source":"/a"}"#,
            "invalid mount config for type \"bind\": field Target must not be empty",
        ),
        (
            r#"{"Type":"bind","Target":"/x"}"#,
            "invalid mount config for type \"bind\": field Source must not be empty",
        ),
        (
            r#"{"Type":"bind","Target":"/x","Source":"/a","VolumeOptions":{}}"#,
            "VolumeOptions must not be specified on mount type \"bind\"",
        ),
        (
            r#"{"Type":"volume","Target":"/x","ReadOnly":true}"#,
            "invalid mount config for type \"volume\": must not set ReadOnly mode when using anonymous volumes",
        ),
        (
            r#"{"Type":"volume","Target":"/x","VolumeOptions":{"Subpath":"a"}}"#,
            "invalid mount config for type \"volume\": must not set Subpath when using anonymous volumes",
        ),
        (
            r#"{"Type":"volume","Source":"v","Target":"/x","VolumeOptions":{"Subpath":"a/../../b"}}"#,
            "invalid mount config for type \"volume\": subpath must be a relative path within the volume",
        ),
        (
            r#"{"Type":"tmpfs","Target":"/x","TmpfsOptions":{"Options":[["zz"]]}}"#,
            "invalid mount config for type \"tmpfs\": invalid option: zz",
        ),
        (
            r#"{"Type":"bind","Source":"/a","Target":"/x","BindOptions":{"Propagation":"zz"}}"#,
            "invalid mount config for type \"bind\": invalid propagation mode: zz",
        ),
        (
            r#"{"Type":"bind","Source":"/a","Target":"/x","BindOptions":{"NonRecursive":true,"Propagation":"rslave"}}"#,
            "bind-recursive=disabled with bind-propagation=rslave is not supported by cellblock",
        ),
        (
            r#"{"Type":"bind","Source":"/a","Target":"/x","BindOptions":{"ReadOnlyForceRecursive":true}}"#,
            "invalid mount config for type \"bind\": mount options conflict: !ReadOnly && BindOptions.ReadOnlyForceRecursive",
        ),
    ] {
        assert_eq!(mount(json).unwrap_err(), words);
    }
}

#[test]
fn options_of_long_mounts_are_done() {
    let plan = mount(
        r#"{"Type":"volume","Source":"v","Target":"/x","VolumeOptions":{"NoCopy":true,"Subpath":"a/./b","Labels":{"k":"v"}}}"#,
    );
    let MountSource::Volume {
        name,
        fill,
        subpath,
        wanted,
        ..
    } = plan.unwrap().source
    else {
        panic!("no volume")
    };
    assert_eq!((name.as_str(), fill, subpath.as_str()), ("v", false, "a/b"));
    assert_eq!(wanted.labels.unwrap().get("k").unwrap(), "v");
    let plan = mount(
        r#"{"Type":"bind","Source":"/a","Target":"/x","BindOptions":{"NonRecursive":true,"CreateMountpoint":true}}"#,
    );
    assert!(matches!(
        plan.unwrap().source,
        MountSource::Bind {
            create: true,
            alone: true,
            ..
        }
    ));
}

#[test]
fn tmpfs_options_are_all_done_or_refused() {
    let plan = parse_tmpfs("/t", "size=64m,mode=700,exec").unwrap();
    assert_eq!(
        plan.source,
        MountSource::Tmpfs {
            size_bytes: Some(64 << 20),
            mode: 0o700,
            noexec: false,
            is_shown: false,
        }
    );
    for bad in ["uid=5", "zz", "size=x", "suid"] {
        assert!(parse_tmpfs("/t", bad).is_err(), "{bad}");
    }
    assert!(parse_tmpfs("rel", "").is_err());
}

#[test]
fn the_same_place_cannot_be_mounted_over_twice() {
    let host = HostConfig {
        binds: Some(vec!["/a:/x".to_owned(), "/b:/x".to_owned()]),
        ..HostConfig::default()
    };
    let failure = plan(&ContainerConfig::default(), &host, Vec::new()).unwrap_err();
    assert_eq!(failure.to_string(), "Duplicate mount point: /x");
}

#[test]
fn mounts_of_other_containers_give_way_to_the_requests_own() {
    let theirs = ["a:/x", "b:/y", "c:/z"].map(|text| inherited(&bind(text).unwrap(), false));
    let host = HostConfig {
        binds: Some(vec!["own:/y".to_owned()]),
        ..HostConfig::default()
    };
    let volumes = Some([("/z".to_owned(), Default::default())].into());
    let config = ContainerConfig {
        volumes,
        ..ContainerConfig::default()
    };
    let plans = plan(&config, &host, theirs.into()).unwrap();
    let seen: Vec<_> = plans.iter().map(|plan| (name_of(plan), plan.writable)).collect();
    assert_eq!(seen, [("a", false), ("own", true), ("c", false)]);
}

#[test]
fn volumes_from_is_read_as_dockerd_reads_it() {
    fn read(text: &str) -> Result<From<'_>, String> {
        parse_from(text).map_err(|failure| failure.to_string())
    }
    assert_eq!(
        read("web"),
        Ok(From {
            container: "web",
            writable: true
        })
    );
    assert!(!read("web:ro").unwrap().writable);
    assert!(read("web:z").unwrap().writable);
    for mode in ["zz", "shared", "nocopy"] {
        let text = format!("web:{mode}");
        assert_eq!(read(&text), Err(format!("invalid mode: {mode}")));
    }
    assert!(read("").is_err());
}
