//! Malformed request bodies are refused in the words of dockerd 28.5.2 (built with Go 1.27), captured from a running one.

use docker_api::containers::{CreateRequest, UpdateRequest};
use docker_api::error::{RequestBody, read_body};
use docker_api::exec::{ExecCreateRequest, ExecStartRequest};
use docker_api::networks::{NetworkConnectRequest, NetworkCreateRequest, NetworkDisconnectRequest};
use docker_api::volumes::VolumeCreateRequest;

/// Bodies and dockerd's messages; an empty message is a body that dockerd could read.
type Table = &'static [(&'static [u8], &'static str)];

fn words<T: RequestBody>(body: &[u8]) -> String {
    let read = read_body::<T>(Some("application/json"), body);
    read.err().map(|error| error.to_string()).unwrap_or_default()
}

fn check<T: RequestBody>(table: Table) {
    let wrong: Vec<String> = table
        .iter()
        .filter(|(body, wanted)| words::<T>(body) != *wanted)
        .map(|(body, wanted)| {
            format!(
                "{}\n  is      {}\n  wanted  {wanted}",
                String::from_utf8_lossy(body),
                words::<T>(body)
            )
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn bad_syntax_is_named_as_go_names_it() {
    check::<CreateRequest>(SYNTAX);
}

#[test]
fn values_of_the_wrong_type_are_named_as_go_names_them() {
    check::<CreateRequest>(TYPES);
    check::<ExecCreateRequest>(EXEC_CREATE);
    check::<ExecStartRequest>(EXEC_START);
    check::<NetworkCreateRequest>(NETWORK_CREATE);
    check::<VolumeCreateRequest>(VOLUME_CREATE);
    check::<UpdateRequest>(UPDATE);
    check::<NetworkConnectRequest>(CONNECT);
    check::<NetworkDisconnectRequest>(DISCONNECT);
}

#[test]
fn ten_thousand_values_may_be_nested_and_no_more() {
    let nested = |depth: usize| format!("{{\"Zzz\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(words::<CreateRequest>(nested(9_999).as_bytes()), "");
    assert_eq!(
        words::<CreateRequest>(nested(10_000).as_bytes()),
        "invalid JSON: exceeded max depth"
    );
    assert_eq!(
        words::<CreateRequest>("[".repeat(10_000).as_bytes()),
        "invalid JSON: unexpected EOF"
    );
    assert_eq!(
        words::<CreateRequest>("[".repeat(2_000_000).as_bytes()),
        "invalid JSON: exceeded max depth"
    );
    // A field that is kept as it came is read by recursion, and so has a lower limit.
    let kept = nested(9_000).replace("Zzz", "ClusterVolumeSpec");
    assert_eq!(
        words::<VolumeCreateRequest>(kept.as_bytes()),
        "invalid JSON: exceeded max depth"
    );
}

#[test]
fn bodies_are_read_as_tolerantly_as_go_reads_them() {
    let body = br#"{"image":"a","Image":"b","CMD":"run","Env":["A=1",null],"Labels":{"a":null,"b":"x","b":"y"},"Tty":null,
        "HostConfig":{"memory":5,"ConsoleSize":[7],"PortBindings":{"80/tcp":[{"HostPort":"1"}],"81/tcp":null},"CapAdd":["X",null]},
        "Healthcheck":null,"ExposedPorts":{"80/tcp":{}},"Unknown":{"a":[1e999]},"User":"\u00e9\ud83d\ude00\ud800x",
        "NetworkingConfig":{"EndpointsConfig":{"n":null}}} "#;
    let read: CreateRequest = read_body(Some("application/json"), body).expect("Go reads it");
    assert_eq!(read.config.image, "b");
    assert_eq!(read.config.cmd, Some(vec!["run".to_owned()]));
    assert_eq!(read.config.env, Some(vec!["A=1".to_owned(), String::new()]));
    let labels = read.config.labels.expect("labels");
    assert_eq!((labels["a"].as_str(), labels["b"].as_str()), ("", "y"));
    assert_eq!(read.config.user, "\u{e9}\u{1f600}\u{fffd}x");
    assert_eq!(read.config.healthcheck, None);
    assert_eq!(read.host_config.memory, 5);
    assert_eq!(read.host_config.console_size, [7, 0]);
    assert_eq!(
        read.host_config.cap_add,
        Some(vec!["X".to_owned(), String::new()])
    );
    let ports = read.host_config.port_bindings.expect("ports");
    assert_eq!(ports["81/tcp"], None);
    assert_eq!(ports["80/tcp"].as_ref().expect("bindings")[0].host_port, "1");
    assert_eq!(
        read.networking_config
            .expect("networks")
            .endpoints_config
            .expect("endpoints")["n"],
        None
    );
}

#[rustfmt::skip]
const SYNTAX: Table = &[
    (b"hello", "invalid JSON: invalid character 'h' looking for beginning of value"),
    (b"}", "invalid JSON: invalid character '}' looking for beginning of value"),
    (b"]", "invalid JSON: invalid character ']' looking for beginning of value"),
    (b",", "invalid JSON: invalid character ',' looking for beginning of value"),
    (b":", "invalid JSON: invalid character ':' looking for beginning of value"),
    (b"{,", "invalid JSON: invalid character ',' looking for beginning of object key string"),
    (b"{\"a\"}", "invalid JSON: invalid character '}' after object key"),
    (b"{\"a\" x", "invalid JSON: invalid character 'x' after object key"),
    (b"{\"a\":}", "invalid JSON: invalid character '}' looking for beginning of value"),
    (b"{\"a\":,", "invalid JSON: invalid character ',' looking for beginning of value"),
    (b"{\"a\":1 x", "invalid JSON: invalid character 'x' after object key:value pair"),
    (b"{\"a\":1]", "invalid JSON: invalid character ']' after object key:value pair"),
    (b"{\"a\":1,}", "invalid JSON: invalid character '}' looking for beginning of object key string"),
    (b"{\"a\":1,x", "invalid JSON: invalid character 'x' looking for beginning of object key string"),
    (b"{1:2}", "invalid JSON: invalid character '1' looking for beginning of object key string"),
    (b"[1 2]", "invalid JSON: invalid character '2' after array element"),
    (b"{\"a\":[1}", "invalid JSON: invalid character '}' after array element"),
    (b"{\"a\":[1,]}", "invalid JSON: invalid character ']' looking for beginning of value"),
    (b"{\"a\":[,", "invalid JSON: invalid character ',' looking for beginning of value"),
    (b"{\"a\":\"x\ny\"}", "invalid JSON: invalid character '\\n' in string"),
    (b"{\"a\":\"\x01\"}", "invalid JSON: invalid character '\\x01' in string"),
    (b"{\"a\":\"\\x\"}", "invalid JSON: invalid escape sequence `\\x` in string"),
    (b"{\"a\":\"\\u12g4\"}", "invalid JSON: invalid escape sequence `\\u12g4` in string"),
    (b"{\"a\":\"\\ug\"}", "invalid JSON: invalid escape sequence `\\ug\"}` in string"),
    (b"{\"a\":\"\\u1\"}", "invalid JSON: invalid escape sequence `\\u1\"}` in string"),
    (b"{\"a\":-x}", "invalid JSON: invalid character 'x' in numeric literal"),
    (b"{\"a\":01}", "invalid JSON: invalid character '1' after object key:value pair"),
    (b"{\"a\":-01}", "invalid JSON: invalid character '1' after object key:value pair"),
    (b"{\"a\":1.}", "invalid JSON: invalid character '}' in numeric literal"),
    (b"{\"a\":1.x", "invalid JSON: invalid character 'x' in numeric literal"),
    (b"{\"a\":1e}", "invalid JSON: invalid character '}' in numeric literal"),
    (b"{\"a\":1e+}", "invalid JSON: invalid character '}' in numeric literal"),
    (b"{\"a\":1e+x", "invalid JSON: invalid character 'x' in numeric literal"),
    (b"{\"a\":1ex", "invalid JSON: invalid character 'x' in numeric literal"),
    (b"{\"a\":+1}", "invalid JSON: invalid character '+' looking for beginning of value"),
    (b"{\"a\":.5}", "invalid JSON: invalid character '.' looking for beginning of value"),
    (b"{\"a\":tru}", "invalid JSON: invalid character '}' in literal true (expecting 'e')"),
    (b"{\"a\":txue}", "invalid JSON: invalid character 'x' in literal true (expecting 'r')"),
    (b"{\"a\":trx", "invalid JSON: invalid character 'x' in literal true (expecting 'u')"),
    (b"{\"a\":trux", "invalid JSON: invalid character 'x' in literal true (expecting 'e')"),
    (b"{\"a\":fxlse}", "invalid JSON: invalid character 'x' in literal false (expecting 'a')"),
    (b"{\"a\":fax", "invalid JSON: invalid character 'x' in literal false (expecting 'l')"),
    (b"{\"a\":falx", "invalid JSON: invalid character 'x' in literal false (expecting 's')"),
    (b"{\"a\":falsx", "invalid JSON: invalid character 'x' in literal false (expecting 'e')"),
    (b"{\"a\":nul}", "invalid JSON: invalid character '}' in literal null (expecting 'l')"),
    (b"{\"a\":nx", "invalid JSON: invalid character 'x' in literal null (expecting 'u')"),
    (b"{\"a\":nux", "invalid JSON: invalid character 'x' in literal null (expecting 'l')"),
    (b"{\"a\":True}", "invalid JSON: invalid character 'T' looking for beginning of value"),
    (b"{'a':1}", "invalid JSON: invalid character '\\'' looking for beginning of object key string"),
    (b"{\"a\":'x'}", "invalid JSON: invalid character '\\'' looking for beginning of value"),
    (b"{\"a\":\"x", "invalid JSON: unexpected EOF"),
    (b"{\"a\":\"\\", "invalid JSON: unexpected EOF"),
    (b"{\"a\"", "invalid JSON: unexpected EOF"),
    (b"{\"a\":", "invalid JSON: unexpected EOF"),
    (b"{\"a\":1", "invalid JSON: unexpected EOF"),
    (b"{\"a\":1,", "invalid JSON: unexpected EOF"),
    (b"[", "invalid JSON: unexpected EOF"),
    (b"-", "invalid JSON: unexpected EOF"),
    (b"t", "invalid JSON: unexpected EOF"),
    (b"tru", "invalid JSON: unexpected EOF"),
    (b"nul", "invalid JSON: unexpected EOF"),
    (b"\"", "invalid JSON: unexpected EOF"),
    (b"1", "invalid JSON: json: cannot unmarshal number into Go value of type container.CreateRequest"),
    (b"1.", "invalid JSON: unexpected EOF"),
    (b"1e", "invalid JSON: unexpected EOF"),
    (b" ", "invalid JSON: got EOF while reading request body"),
    (b"\n\t ", "invalid JSON: got EOF while reading request body"),
    (b"\xef\xbb\xbf{}", "invalid JSON: invalid character '\\ufeff' looking for beginning of value"),
    (b"\xc3\xa9", "invalid JSON: invalid character '\u{e9}' looking for beginning of value"),
    (b"{\"a\":\xc3\xa9}", "invalid JSON: invalid character '\u{e9}' looking for beginning of value"),
    (b"\xff", "invalid JSON: invalid character '\\xff' looking for beginning of value"),
    (b"{\"a\":\"\xff\"}", ""),
    (b"{\"a\":\"\\ud800\"}", ""),
    (b"{\xc2\xa0\"a\":1}", "invalid JSON: invalid character '\\u00a0' looking for beginning of object key string"),
    (b"{\"a\":1}\x00", "unexpected content after JSON"),
    (b"\x00", "invalid JSON: invalid character '\\x00' looking for beginning of value"),
    (b"\x0b{}", "invalid JSON: invalid character '\\v' looking for beginning of value"),
    (b"\\", "invalid JSON: invalid character '\\\\' looking for beginning of value"),
    (b"'", "invalid JSON: invalid character '\\'' looking for beginning of value"),
    (b"{\"a\"'", "invalid JSON: invalid character '\\'' after object key"),
    (b"{\"a\":1/*", "invalid JSON: invalid character '/' after object key:value pair"),
    (b"//x\n{}", "invalid JSON: invalid character '/' looking for beginning of value"),
    (b"{\"a\":NaN}", "invalid JSON: invalid character 'N' looking for beginning of value"),
    (b"{\"a\":Infinity}", "invalid JSON: invalid character 'I' looking for beginning of value"),
    (b"{\"a\":-Infinity}", "invalid JSON: invalid character 'I' in numeric literal"),
    (b"{}{}", "unexpected content after JSON"),
    (b"{},", "unexpected content after JSON"),
    (b"nullx", "unexpected content after JSON"),
    (b"null x", "unexpected content after JSON"),
    (b"true", "invalid JSON: json: cannot unmarshal bool into Go value of type container.CreateRequest"),
    (b"false", "invalid JSON: json: cannot unmarshal bool into Go value of type container.CreateRequest"),
    (b"\"x\"", "invalid JSON: json: cannot unmarshal string into Go value of type container.CreateRequest"),
    (b"1.5", "invalid JSON: json: cannot unmarshal number into Go value of type container.CreateRequest"),
    (b"-0", "invalid JSON: json: cannot unmarshal number into Go value of type container.CreateRequest"),
    (b"[1]", "invalid JSON: json: cannot unmarshal array into Go value of type container.CreateRequest"),
    (b"{\"Image\":5} x", "invalid JSON: json: cannot unmarshal number into Go struct field .Image of type string"),
    (b"{\"Image\":5", "invalid JSON: unexpected EOF"),
    (b"{\"Image\":5 x", "invalid JSON: invalid character 'x' after object key:value pair"),
    (b"[}", "invalid JSON: invalid character '}' looking for beginning of value"),
    (b"[1", "invalid JSON: unexpected EOF"),
    (b"[1,", "invalid JSON: unexpected EOF"),
    (b"{\"a\":1}}", ""),
    (b"truex", "invalid JSON: json: cannot unmarshal bool into Go value of type container.CreateRequest"),
    (b"1x", "invalid JSON: json: cannot unmarshal number into Go value of type container.CreateRequest"),
    (b"\"x\"y", "invalid JSON: json: cannot unmarshal string into Go value of type container.CreateRequest"),
    (b"{\"a\":\"\x7f\"}", ""),
    (b"{\"a\":\"\xc2\x80\"}", ""),
    (b"{\xe2\x80\x9ca\xe2\x80\x9d:1}", "invalid JSON: invalid character '\u{201c}' looking for beginning of object key string"),
    (b"{\"\\x", "invalid JSON: invalid escape sequence `\\x` in string"),
    (b"{\"\n", "invalid JSON: invalid character '\\n' in string"),
    (b"{\"a\":\xf0\x9f\x98\x80}", "invalid JSON: invalid character '\u{1f600}' looking for beginning of value"),
    (b"{\"Image\":5,\"a\":\xe2\x80\x8b", "invalid JSON: invalid character '\\u200b' looking for beginning of value"),
    (b"\xc2\x85", "invalid JSON: invalid character '\\u0085' looking for beginning of value"),
    (b"\x7f", "invalid JSON: invalid character '\\x7f' looking for beginning of value"),
    (b"\xc2\xad", "invalid JSON: invalid character '\\u00ad' looking for beginning of value"),
    (b"\xe2\x80\xa8", "invalid JSON: invalid character '\\u2028' looking for beginning of value"),
    (b"{\"a\":00}", "invalid JSON: invalid character '0' after object key:value pair"),
    (b"{\"a\":1.5.5}", "invalid JSON: invalid character '.' after object key:value pair"),
    (b"{\"a\":1e5.5}", "invalid JSON: invalid character '.' after object key:value pair"),
    (b"{\"a\":--1}", "invalid JSON: invalid character '-' in numeric literal"),
    (b"{\"a\":-", "invalid JSON: unexpected EOF"),
    (b"{\"a\":\"\\u12", "invalid JSON: unexpected EOF"),
    (b"{\"a\":\"\\uD8", "invalid JSON: unexpected EOF"),
    (b"{\"a\":\"\\ud800\\u00", "invalid JSON: unexpected EOF"),
    (b"{\"a\":\"\\ud800\\x\"}", "invalid JSON: invalid escape sequence `\\x` in string"),
    (b"{\"a\":\"\\ud800\\u12g\"}", "invalid JSON: invalid escape sequence `\\u12g\"` in string"),
    (b"{\"a\":\"\\u\"}", "invalid JSON: invalid escape sequence `\\u\"}` in string"),
    (b"{\"a\":\"\\u12\"", "invalid JSON: invalid escape sequence `\\u12\"` in string"),
    (b"{\"a\":\"\\u12 ", "invalid JSON: invalid escape sequence \"\\\\u12 \" in string"),
    (b"{\"a\":\"\\\xc3\xa9\"}", "invalid JSON: invalid escape sequence \"\\\\\\xc3\" in string"),
    (b"{\"a\":\"\\`\"}", "invalid JSON: invalid escape sequence \"\\\\`\" in string"),
    (b"{\"a\":\"\\\n\"}", "invalid JSON: invalid escape sequence \"\\\\\\n\" in string"),
    (b"{\"a\":\"\\u1\xc3\xa934\"}", "invalid JSON: invalid escape sequence `\\u1\u{e9}3` in string"),
    (b"{\"a\":\"\\u1\n\"}", "invalid JSON: invalid escape sequence \"\\\\u1\\n\\\"}\" in string"),
    (b"{\"a\":\"\\\xff\"}", "invalid JSON: invalid escape sequence \"\\\\\\xff\" in string"),
    (b"{\"a\":\"\\u\xff\xff\xff\xff\"}", "invalid JSON: invalid escape sequence \"\\\\u\\xff\\xff\\xff\\xff\" in string"),
    (b"{\xff", "invalid JSON: invalid character '\\xff' looking for beginning of object key string"),
    (b"{\"a\":tr\xff", "invalid JSON: invalid character '\\xff' in literal true (expecting 'u')"),
    (b"\xe2\x80", "invalid JSON: invalid character '\\xe2' looking for beginning of value"),
    (b"\xe2\x80\"", "invalid JSON: invalid character '\\xe2' looking for beginning of value"),
    (b"\xed\xa0\x80", "invalid JSON: invalid character '\\xed' looking for beginning of value"),
    (b"\xef\xbf\xbd", "invalid JSON: invalid character '\u{fffd}' looking for beginning of value"),
    (b"{\"a\":1 \"b\"", "invalid JSON: invalid character '\"' after object key:value pair"),
    (b"[1 \"", "invalid JSON: invalid character '\"' after array element"),
    (b"{`", "invalid JSON: invalid character '`' looking for beginning of object key string"),
];

#[rustfmt::skip]
const TYPES: Table = &[
    (b"{\"Image\":5}", "invalid JSON: json: cannot unmarshal number into Go struct field .Image of type string"),
    (b"{\"Image\":true}", "invalid JSON: json: cannot unmarshal bool into Go struct field .Image of type string"),
    (b"{\"Image\":[]}", "invalid JSON: json: cannot unmarshal array into Go struct field .Image of type string"),
    (b"{\"Image\":{}}", "invalid JSON: json: cannot unmarshal object into Go struct field .Image of type string"),
    (b"{\"Image\":1.5}", "invalid JSON: json: cannot unmarshal number into Go struct field .Image of type string"),
    (b"{\"image\":5}", "invalid JSON: json: cannot unmarshal number into Go struct field .image of type string"),
    (b"{\"IMAGE\":5}", "invalid JSON: json: cannot unmarshal number into Go struct field .IMAGE of type string"),
    (b"{\"Tty\":\"x\"}", "invalid JSON: json: cannot unmarshal string into Go struct field .Tty of type bool"),
    (b"{\"Tty\":1}", "invalid JSON: json: cannot unmarshal number into Go struct field .Tty of type bool"),
    (b"{\"Tty\":[]}", "invalid JSON: json: cannot unmarshal array into Go struct field .Tty of type bool"),
    (b"{\"Env\":\"a\"}", "invalid JSON: json: cannot unmarshal string into Go struct field .Env of type []string"),
    (b"{\"Env\":{}}", "invalid JSON: json: cannot unmarshal object into Go struct field .Env of type []string"),
    (b"{\"Env\":[1]}", "invalid JSON: json: cannot unmarshal number into .Env.0 of type string"),
    (b"{\"Env\":[\"a\",{}]}", "invalid JSON: json: cannot unmarshal object into .Env.1 of type string"),
    (b"{\"Env\":[[]]}", "invalid JSON: json: cannot unmarshal array into .Env.0 of type string"),
    (b"{\"Cmd\":5}", "invalid JSON: json: cannot unmarshal number into Go value of type string"),
    (b"{\"Cmd\":[5]}", "invalid JSON: json: cannot unmarshal array into Go value of type string"),
    (b"{\"Cmd\":[\"a\",{}]}", "invalid JSON: json: cannot unmarshal array into Go value of type string"),
    (b"{\"Cmd\":{}}", "invalid JSON: json: cannot unmarshal object into Go value of type string"),
    (b"{\"Cmd\":true}", "invalid JSON: json: cannot unmarshal bool into Go value of type string"),
    (b"{\"Entrypoint\":5}", "invalid JSON: json: cannot unmarshal number into Go value of type string"),
    (b"{\"Labels\":[]}", "invalid JSON: json: cannot unmarshal array into Go struct field .Labels of type map[string]string"),
    (b"{\"Labels\":\"x\"}", "invalid JSON: json: cannot unmarshal string into Go struct field .Labels of type map[string]string"),
    (b"{\"Labels\":{\"a\":1}}", "invalid JSON: json: cannot unmarshal number into Go struct field .Labels.a of type string"),
    (b"{\"Labels\":{\"a\":{}}}", "invalid JSON: json: cannot unmarshal object into Go struct field .Labels.a of type string"),
    (b"{\"ExposedPorts\":[]}", "invalid JSON: json: cannot unmarshal array into Go struct field .ExposedPorts of type nat.PortSet"),
    (b"{\"ExposedPorts\":{\"80/tcp\":[]}}", "invalid JSON: json: cannot unmarshal array into Go struct field .ExposedPorts.80~1tcp of type struct {}"),
    (b"{\"ExposedPorts\":{\"80/tcp\":5}}", "invalid JSON: json: cannot unmarshal number into Go struct field .ExposedPorts.80~1tcp of type struct {}"),
    (b"{\"Volumes\":{\"/a\":\"x\"}}", "invalid JSON: json: cannot unmarshal string into Go struct field .Volumes.~1a of type struct {}"),
    (b"{\"StopTimeout\":1.5}", "invalid JSON: json: cannot unmarshal number 1.5 into Go struct field .StopTimeout of type int"),
    (b"{\"StopTimeout\":\"1\"}", "invalid JSON: json: cannot unmarshal string into Go struct field .StopTimeout of type int"),
    (b"{\"StopTimeout\":99999999999999999999}", "invalid JSON: json: cannot unmarshal number 99999999999999999999 into Go struct field .StopTimeout of type int"),
    (b"{\"StopTimeout\":1e3}", "invalid JSON: json: cannot unmarshal number 1e3 into Go struct field .StopTimeout of type int"),
    (b"{\"StopTimeout\":{}}", "invalid JSON: json: cannot unmarshal object into Go struct field .StopTimeout of type int"),
    (b"{\"Healthcheck\":[]}", "invalid JSON: json: cannot unmarshal array into Go struct field .Healthcheck of type v1.HealthcheckConfig"),
    (b"{\"Healthcheck\":{\"Interval\":\"1s\"}}", "invalid JSON: json: cannot unmarshal string into Go struct field .Healthcheck.Interval of type time.Duration"),
    (b"{\"Healthcheck\":{\"Interval\":1.5}}", "invalid JSON: json: cannot unmarshal number 1.5 into Go struct field .Healthcheck.Interval of type time.Duration"),
    (b"{\"Healthcheck\":{\"Retries\":\"x\"}}", "invalid JSON: json: cannot unmarshal string into Go struct field .Healthcheck.Retries of type int"),
    (b"{\"Healthcheck\":{\"Test\":5}}", "invalid JSON: json: cannot unmarshal number into Go struct field .Healthcheck.Test of type []string"),
    (b"{\"Healthcheck\":{\"Test\":[5]}}", "invalid JSON: json: cannot unmarshal number into .Healthcheck.Test.0 of type string"),
    (b"{\"HostConfig\":5}", "invalid JSON: json: cannot unmarshal number into Go struct field .HostConfig of type container.HostConfig"),
    (b"{\"HostConfig\":[]}", "invalid JSON: json: cannot unmarshal array into Go struct field .HostConfig of type container.HostConfig"),
    (b"{\"HostConfig\":{\"Memory\":\"1g\"}}", "invalid JSON: json: cannot unmarshal string into Go struct field .HostConfig.Memory of type int64"),
    (b"{\"HostConfig\":{\"Memory\":1.50}}", "invalid JSON: json: cannot unmarshal number 1.50 into Go struct field .HostConfig.Memory of type int64"),
    (b"{\"HostConfig\":{\"NetworkMode\":5}}", "invalid JSON: json: cannot unmarshal number into Go struct field .HostConfig.NetworkMode of type container.NetworkMode"),
    (b"{\"HostConfig\":{\"BlkioWeight\":70000}}", "invalid JSON: json: cannot unmarshal number 70000 into Go struct field .HostConfig.BlkioWeight of type uint16"),
    (b"{\"HostConfig\":{\"BlkioWeight\":-1}}", "invalid JSON: json: cannot unmarshal number -1 into Go struct field .HostConfig.BlkioWeight of type uint16"),
    (b"{\"HostConfig\":{\"BlkioWeight\":\"x\"}}", "invalid JSON: json: cannot unmarshal string into Go struct field .HostConfig.BlkioWeight of type uint16"),
    (b"{\"HostConfig\":{\"PortBindings\":[]}}", "invalid JSON: json: cannot unmarshal array into Go struct field .HostConfig.PortBindings of type nat.PortMap"),
    (b"{\"HostConfig\":{\"PortBindings\":{\"80/tcp\":{}}}}", "invalid JSON: json: cannot unmarshal object into Go struct field .HostConfig.PortBindings.80~1tcp of type []nat.PortBinding"),
    (b"{\"HostConfig\":{\"PortBindings\":{\"80/tcp\":[5]}}}", "invalid JSON: json: cannot unmarshal number into .HostConfig.PortBindings.80~1tcp.0 of type nat.PortBinding"),
    (b"{\"HostConfig\":{\"PortBindings\":{\"80/tcp\":[{\"HostPort\":80}]}}}", "invalid JSON: json: cannot unmarshal number into Go struct field .HostConfig.PortBindings.80~1tcp.0.HostPort of type string"),
    (b"{\"HostConfig\":{\"PortBindings\":{\"80/tcp\":[{\"HostPort\":\"a\"},{\"HostPort\":80}]}}}", "invalid JSON: json: cannot unmarshal number into Go struct field .HostConfig.PortBindings.80~1tcp.1.HostPort of type string"),
    (b"{\"HostConfig\":{\"RestartPolicy\":\"always\"}}", "invalid JSON: json: cannot unmarshal string into Go struct field .HostConfig.RestartPolicy of type container.RestartPolicy"),
    (b"{\"HostConfig\":{\"RestartPolicy\":{\"Name\":5}}}", "invalid JSON: json: cannot unmarshal number into Go struct field .HostConfig.RestartPolicy.Name of type container.RestartPolicyMode"),
    (b"{\"HostConfig\":{\"RestartPolicy\":{\"MaximumRetryCount\":\"3\"}}}", "invalid JSON: json: cannot unmarshal string into Go struct field .HostConfig.RestartPolicy.MaximumRetryCount of type int"),
    (b"{\"HostConfig\":{\"Mounts\":{}}}", "invalid JSON: json: cannot unmarshal object into Go struct field .HostConfig.Mounts of type []mount.Mount"),
    (b"{\"HostConfig\":{\"Mounts\":[5]}}", "invalid JSON: json: cannot unmarshal number into .HostConfig.Mounts.0 of type mount.Mount"),
    (b"{\"HostConfig\":{\"Mounts\":[{\"Type\":5}]}}", "invalid JSON: json: cannot unmarshal number into Go struct field .HostConfig.Mounts.0.Type of type mount.Type"),
    (b"{\"HostConfig\":{\"Mounts\":[{\"TmpfsOptions\":{\"Mode\":\"x\"}}]}}", "invalid JSON: json: cannot unmarshal string into Go struct field .HostConfig.Mounts.0.TmpfsOptions.Mode of type fs.FileMode"),
    (b"{\"HostConfig\":{\"Mounts\":[{\"TmpfsOptions\":{\"Mode\":-1}}]}}", "invalid JSON: json: cannot unmarshal number -1 into Go struct field .HostConfig.Mounts.0.TmpfsOptions.Mode of type fs.FileMode"),
    (b"{\"HostConfig\":{\"Mounts\":[{\"TmpfsOptions\":{\"Options\":[5]}}]}}", "invalid JSON: json: cannot unmarshal number into .HostConfig.Mounts.0.TmpfsOptions.Options.0 of type []string"),
    (b"{\"HostConfig\":{\"ConsoleSize\":5}}", "invalid JSON: json: cannot unmarshal number into Go struct field .HostConfig.ConsoleSize of type [2]uint"),
    (b"{\"HostConfig\":{\"ConsoleSize\":[\"a\",1]}}", "invalid JSON: json: cannot unmarshal string into .HostConfig.ConsoleSize.0 of type uint"),
    (b"{\"HostConfig\":{\"ConsoleSize\":[-1,1]}}", "invalid JSON: json: cannot unmarshal number -1 into .HostConfig.ConsoleSize.0 of type uint"),
    (b"{\"HostConfig\":{\"LogConfig\":{\"Config\":{\"a\":1}}}}", "invalid JSON: json: cannot unmarshal number into Go struct field .HostConfig.LogConfig.Config.a of type string"),
    (b"{\"HostConfig\":{\"CapAdd\":5}}", "invalid JSON: json: cannot unmarshal number into Go value of type string"),
    (b"{\"HostConfig\":{\"CapAdd\":[5]}}", "invalid JSON: json: cannot unmarshal array into Go value of type string"),
    (b"{\"HostConfig\":{\"Init\":5}}", "invalid JSON: json: cannot unmarshal number into Go struct field .HostConfig.Init of type bool"),
    (b"{\"HostConfig\":{\"PidsLimit\":\"x\"}}", "invalid JSON: json: cannot unmarshal string into Go struct field .HostConfig.PidsLimit of type int64"),
    (b"{\"HostConfig\":{\"Ulimits\":[{\"Soft\":\"x\"}]}}", "invalid JSON: json: cannot unmarshal string into Go struct field .HostConfig.Ulimits.0.Soft of type int64"),
    (b"{\"HostConfig\":{\"Tmpfs\":{\"/a\":1}}}", "invalid JSON: json: cannot unmarshal number into Go struct field .HostConfig.Tmpfs.~1a of type string"),
    (b"{\"NetworkingConfig\":5}", "invalid JSON: json: cannot unmarshal number into Go struct field .NetworkingConfig of type network.NetworkingConfig"),
    (b"{\"NetworkingConfig\":{\"EndpointsConfig\":[]}}", "invalid JSON: json: cannot unmarshal array into Go struct field .NetworkingConfig.EndpointsConfig of type map[string]*network.EndpointSettings"),
    (b"{\"NetworkingConfig\":{\"EndpointsConfig\":{\"n\":5}}}", "invalid JSON: json: cannot unmarshal number into Go struct field .NetworkingConfig.EndpointsConfig.n of type network.EndpointSettings"),
    (b"{\"NetworkingConfig\":{\"EndpointsConfig\":{\"n\":{\"Aliases\":5}}}}", "invalid JSON: json: cannot unmarshal number into Go struct field .NetworkingConfig.EndpointsConfig.n.Aliases of type []string"),
    (b"{\"NetworkingConfig\":{\"EndpointsConfig\":{\"n\":{\"IPAMConfig\":{\"IPv4Address\":5}}}}}", "invalid JSON: json: cannot unmarshal number into Go struct field .NetworkingConfig.EndpointsConfig.n.IPAMConfig.IPv4Address of type string"),
    (b"{\"Image\":\"x\",\"Image\":5}", "invalid JSON: json: cannot unmarshal number into Go struct field .Image of type string"),
    (b"{\"Tty\":1,\"Image\":5}", "invalid JSON: json: cannot unmarshal number into Go struct field .Tty of type bool"),
    (b"{\"Image\":5,\"Tty\":1}", "invalid JSON: json: cannot unmarshal number into Go struct field .Image of type string"),
    (b"{\"HostConfig\":{\"Memory\":\"x\"},\"Image\":5}", "invalid JSON: json: cannot unmarshal string into Go struct field .HostConfig.Memory of type int64"),
    (b"{\"Image\":5,\"HostConfig\":5}", "invalid JSON: json: cannot unmarshal number into Go struct field .Image of type string"),
    (b"{\"Cmd\":5,\"Image\":5}", "invalid JSON: json: cannot unmarshal number into Go value of type string"),
    (b"{\"Image\":5,\"Cmd\":5}", "invalid JSON: json: cannot unmarshal number into Go struct field .Image of type string"),
    (b"{\"Labels\":{\"b\":1,\"a\":2}}", "invalid JSON: json: cannot unmarshal number into Go struct field .Labels.b of type string"),
    (b"{\"HostConfig\":{\"Memory\":1e999}}", "invalid JSON: json: cannot unmarshal number 1e999 into Go struct field .HostConfig.Memory of type int64"),
    (b"{\"a\":1e999,\"Image\":5}", "invalid JSON: json: cannot unmarshal number into Go struct field .Image of type string"),
    (b"{\"HostConfig\":{\"DeviceRequests\":[{\"Capabilities\":[\"gpu\"]}]}}", "invalid JSON: json: cannot unmarshal string into .HostConfig.DeviceRequests.0.Capabilities.0 of type []string"),
    (b"{\"HostConfig\":{\"Binds\":\"x\"}}", "invalid JSON: json: cannot unmarshal string into Go struct field .HostConfig.Binds of type []string"),
    (b"{\"HostConfig\":{\"Binds\":[1]}}", "invalid JSON: json: cannot unmarshal number into .HostConfig.Binds.0 of type string"),
    (b"{\"Image\":\"\\ud800\",\"Tty\":1}", "invalid JSON: json: cannot unmarshal number into Go struct field .Tty of type bool"),
    (b"{\"Labels\":{\"a.b\":1}}", "invalid JSON: json: cannot unmarshal number into Go struct field .Labels.a.b of type string"),
    (b"{\"HostConfig\":{\"Memory\":-1.5e+3}}", "invalid JSON: json: cannot unmarshal number -1.5e+3 into Go struct field .HostConfig.Memory of type int64"),
    (b"{\"working_dir\":5}", ""),
    (b"{\"workingdir\":5}", "invalid JSON: json: cannot unmarshal number into Go struct field .workingdir of type string"),
    (b"{\"cmd\":[5]}", "invalid JSON: json: cannot unmarshal array into Go value of type string"),
    (b"{\"Cmd\":[null],\"Tty\":1}", "invalid JSON: json: cannot unmarshal number into Go struct field .Tty of type bool"),
    (b"{\"Labels\":{\"a~b\":1}}", "invalid JSON: json: cannot unmarshal number into Go struct field .Labels.a~0b of type string"),
    (b"{\"Labels\":{\"\":1}}", "invalid JSON: json: cannot unmarshal number into Go struct field .Labels. of type string"),
    (b"{\"Labels\":{\"a\":null},\"Tty\":1}", "invalid JSON: json: cannot unmarshal number into Go struct field .Tty of type bool"),
    (b"{\"Shell\":5}", "invalid JSON: json: cannot unmarshal number into Go value of type string"),
    (b"{\"HostConfig\":{\"ConsoleSize\":[1,2,3]},\"Tty\":1}", "invalid JSON: json: cannot unmarshal number into Go struct field .Tty of type bool"),
    (b"{\"HostConfig\":{\"ConsoleSize\":[1]},\"Tty\":1}", "invalid JSON: json: cannot unmarshal number into Go struct field .Tty of type bool"),
    (b"{\"Healthcheck\":{\"Test\":\"x\"}}", "invalid JSON: json: cannot unmarshal string into Go struct field .Healthcheck.Test of type []string"),
    (b"{\"Labels\":{\"\\ud800\":1}}", "invalid JSON: json: cannot unmarshal number into Go struct field .Labels.\u{fffd} of type string"),
    (b"{\"Labels\":{\"\\ud83d\\ude00\":1}}", "invalid JSON: json: cannot unmarshal number into Go struct field .Labels.\u{1f600} of type string"),
    (b"{\"HostConfig\":{\"Memory\":1.0}}", "invalid JSON: json: cannot unmarshal number 1.0 into Go struct field .HostConfig.Memory of type int64"),
    (b"{\"HostConfig\":{\"Memory\":-0},\"Tty\":1}", "invalid JSON: json: cannot unmarshal number into Go struct field .Tty of type bool"),
    (b"{\"HostConfig\":{\"BlkioWeight\":-0},\"Tty\":1}", "invalid JSON: json: cannot unmarshal number -0 into Go struct field .HostConfig.BlkioWeight of type uint16"),
    (b"{\"Labels\":{\"1\":5}}", "invalid JSON: json: cannot unmarshal number into .Labels.1 of type string"),
    (b"{\"Labels\":{\"-1\":5}}", "invalid JSON: json: cannot unmarshal number into Go struct field .Labels.-1 of type string"),
    (b"{\"HostConfig\":{\"PortBindings\":{\"1\":5}}}", "invalid JSON: json: cannot unmarshal number into .HostConfig.PortBindings.1 of type []nat.PortBinding"),
    (b"{\"Labels\":{\"99999999999999999999999\":5}}", "invalid JSON: json: cannot unmarshal number into .Labels.99999999999999999999999 of type string"),
];

#[rustfmt::skip]
const EXEC_CREATE: Table = &[
    (b"[]", "invalid JSON: json: cannot unmarshal array into Go value of type container.ExecOptions"),
    (b"5", "invalid JSON: json: cannot unmarshal number into Go value of type container.ExecOptions"),
    (b"{\"Cmd\":5}", "invalid JSON: json: cannot unmarshal number into Go struct field ExecOptions.Cmd of type []string"),
    (b"{\"Cmd\":\"ls\",\"ConsoleSize\":5}", "invalid JSON: json: cannot unmarshal string into Go struct field ExecOptions.Cmd of type []string"),
    (b"{\"Env\":5}", "invalid JSON: json: cannot unmarshal number into Go struct field ExecOptions.Env of type []string"),
    (b"{\"Tty\":\"x\"}", "invalid JSON: json: cannot unmarshal string into Go struct field ExecOptions.Tty of type bool"),
    (b"{\"ConsoleSize\":[\"a\"]}", "invalid JSON: json: cannot unmarshal string into ExecOptions.ConsoleSize.0 of type uint"),
    (b"{\"ConsoleSize\":[1]}", ""),
    (b"{\"User\":1}", "invalid JSON: json: cannot unmarshal number into Go struct field ExecOptions.User of type string"),
];

#[rustfmt::skip]
const EXEC_START: Table = &[
    (b"[]", "invalid JSON: json: cannot unmarshal array into Go value of type container.ExecStartOptions"),
    (b"5", "invalid JSON: json: cannot unmarshal number into Go value of type container.ExecStartOptions"),
    (b"{\"Tty\":\"x\"}", "invalid JSON: json: cannot unmarshal string into Go struct field ExecStartOptions.Tty of type bool"),
    (b"{\"ConsoleSize\":[1.5]}", "invalid JSON: json: cannot unmarshal number 1.5 into ExecStartOptions.ConsoleSize.0 of type uint"),
];

#[rustfmt::skip]
const NETWORK_CREATE: Table = &[
    (b"[]", "invalid JSON: json: cannot unmarshal array into Go value of type network.CreateRequest"),
    (b"{\"IPAM\":5}", "invalid JSON: json: cannot unmarshal number into Go struct field CreateRequest.IPAM of type network.IPAM"),
    (b"{\"IPAM\":{\"Config\":{}}}", "invalid JSON: json: cannot unmarshal object into Go struct field CreateRequest.IPAM.Config of type []network.IPAMConfig"),
    (b"{\"IPAM\":{\"Config\":[{\"Subnet\":5}]}}", "invalid JSON: json: cannot unmarshal number into Go struct field CreateRequest.IPAM.Config.0.Subnet of type string"),
    (b"{\"EnableIPv6\":\"x\"}", "invalid JSON: json: cannot unmarshal string into Go struct field CreateRequest.EnableIPv6 of type bool"),
    (b"{\"ConfigFrom\":5}", "invalid JSON: json: cannot unmarshal number into Go struct field CreateRequest.ConfigFrom of type network.ConfigReference"),
    (b"{\"Options\":{\"a\":1}}", "invalid JSON: json: cannot unmarshal number into Go struct field CreateRequest.Options.a of type string"),
    (b"{\"Name\":5}", "invalid JSON: json: cannot unmarshal number into Go struct field CreateRequest.Name of type string"),
    (b"{\"IPAM\":{\"Options\":5}}", "invalid JSON: json: cannot unmarshal number into Go struct field CreateRequest.IPAM.Options of type map[string]string"),
    (b"{\"IPAM\":{\"Config\":[{\"AuxiliaryAddresses\":{\"a\":1}}]}}", "invalid JSON: json: cannot unmarshal number into Go struct field CreateRequest.IPAM.Config.0.AuxiliaryAddresses.a of type string"),
    (b"{\"CheckDuplicate\":5}", "invalid JSON: json: cannot unmarshal number into Go struct field CreateRequest.CheckDuplicate of type bool"),
];

#[rustfmt::skip]
const VOLUME_CREATE: Table = &[
    (b"[]", "invalid JSON: json: cannot unmarshal array into Go value of type volume.CreateOptions"),
    (b"{\"Name\":5}", "invalid JSON: json: cannot unmarshal number into Go struct field CreateOptions.Name of type string"),
    (b"{\"DriverOpts\":[]}", "invalid JSON: json: cannot unmarshal array into Go struct field CreateOptions.DriverOpts of type map[string]string"),
    (b"{\"Labels\":{\"a\":1}}", "invalid JSON: json: cannot unmarshal number into Go struct field CreateOptions.Labels.a of type string"),
];

#[rustfmt::skip]
const UPDATE: Table = &[
    (b"[]", "invalid JSON: json: cannot unmarshal array into Go value of type container.UpdateConfig"),
    (b"{\"Memory\":\"x\"}", "invalid JSON: json: cannot unmarshal string into Go struct field UpdateConfig.Memory of type int64"),
    (b"{\"RestartPolicy\":5}", "invalid JSON: json: cannot unmarshal number into Go struct field UpdateConfig.RestartPolicy of type container.RestartPolicy"),
    (b"{\"RestartPolicy\":{\"MaximumRetryCount\":1.5}}", "invalid JSON: json: cannot unmarshal number 1.5 into Go struct field UpdateConfig.RestartPolicy.MaximumRetryCount of type int"),
];

#[rustfmt::skip]
const CONNECT: Table = &[
    (b"[]", "invalid JSON: json: cannot unmarshal array into Go value of type network.ConnectOptions"),
    (b"{\"Container\":5}", "invalid JSON: json: cannot unmarshal number into Go struct field ConnectOptions.Container of type string"),
    (b"{\"EndpointConfig\":5}", "invalid JSON: json: cannot unmarshal number into Go struct field ConnectOptions.EndpointConfig of type network.EndpointSettings"),
    (b"{\"EndpointConfig\":{\"GwPriority\":\"x\"}}", "invalid JSON: json: cannot unmarshal string into Go struct field ConnectOptions.EndpointConfig.GwPriority of type int"),
];

#[rustfmt::skip]
const DISCONNECT: Table = &[
    (b"[]", "invalid JSON: json: cannot unmarshal array into Go value of type network.DisconnectOptions"),
    (b"{\"Force\":\"x\"}", "invalid JSON: json: cannot unmarshal string into Go struct field DisconnectOptions.Force of type bool"),
];
