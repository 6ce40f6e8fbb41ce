//! Connections to a pod's port from outside the cluster.

use mcp_orchestrator_core::runtime::kubernetes::connect_to;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::kubernetes::cluster::space;

const WEB: &str = "echo 'hello from the pod' > /tmp/index.html && exec httpd -f -p 8080 -h /tmp";

#[tokio::test]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn open_port_is_reached_and_closed_port_is_named_in_the_error() {
    let space = space("forward").await;
    let token = space.account("outside").await;
    space.bind("outside").await;
    let access = space.open_as(&token).await;
    let address = space.pod("web", WEB).await;
    let open = connect_to(&access, "web", &address, 8080);
    // The shell opens the port a moment after it has started.
    let answer = loop {
        let mut answer = String::new();
        let mut stream = open.connect().await.unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
        if stream.read_to_string(&mut answer).await.is_ok() {
            break answer;
        }
    };
    assert!(
        answer.starts_with("HTTP/1.") && answer.contains(" 200 "),
        "{answer}"
    );
    assert!(answer.contains("hello from the pod"), "{answer}");
    mcp_orchestrator_core::testing::connect::suite(&*open).await;
    let closed = connect_to(&access, "web", &address, 8081);
    let mut stream = closed.connect().await.unwrap();
    let error = stream.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    let text = error.to_string();
    assert!(text.starts_with("pod web port 8081: "), "{text}");
    let nobody = connect_to(&access, "nobody", &address, 8080);
    let error = nobody.connect().await.err().unwrap().to_string();
    assert!(error.contains("pods/portforward nobody"), "{error}");
    space.leave().await;
}
