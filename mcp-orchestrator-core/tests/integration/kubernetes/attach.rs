//! The streams of a pod: the program keeps running when its client leaves or is disconnected.

use mcp_orchestrator_core::ErrorKind;
use mcp_orchestrator_core::runtime::kubernetes::{AttachReader, attach};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

use crate::kubernetes::cluster::space;
use crate::kubernetes::pods::CONTAINER;
use crate::kubernetes::proxy::Proxy;

/// Numbers the lines that it reads, and exits at `end`.
const COUNT: &str = r#"
n=0
while IFS= read -r line; do
    n=$((n + 1))
    echo "noise of $line" >&2
    echo "$n $line"
    [ "$line" = end ] && exit 3
done
"#;

async fn line(reader: &mut BufReader<AttachReader>) -> String {
    let mut line = String::new();
    reader.read_line(&mut line).await.unwrap();
    line
}

#[tokio::test]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn program_keeps_running_across_attach_sessions() {
    let space = space("leave").await;
    space.pod("count", COUNT).await;
    let (reader, mut writer) = attach(&space.admin, "count", CONTAINER).await.unwrap();
    let mut reader = BufReader::new(reader);
    writer.write_all(b"one\n").await.unwrap();
    assert_eq!(
        line(&mut reader).await,
        "1 one\n",
        "and nothing of standard error"
    );
    drop((reader, writer));
    let (reader, mut writer) = attach(&space.admin, "count", CONTAINER).await.unwrap();
    let mut reader = BufReader::new(reader);
    writer.write_all(b"two\n").await.unwrap();
    assert_eq!(line(&mut reader).await, "2 two\n", "by the same process");
    let large = "x".repeat(300_000);
    let text = format!("{large}\n");
    let (sent, got) = tokio::join!(writer.write_all(text.as_bytes()), line(&mut reader));
    sent.unwrap();
    assert_eq!(got, format!("3 {large}\n"));
    writer.write_all(b"end\n").await.unwrap();
    assert_eq!(line(&mut reader).await, "4 end\n");
    let rest = reader.read_to_end(&mut Vec::new()).await.unwrap();
    assert_eq!(rest, 0, "the end of the program is the end of its output");
    space.leave().await;
}

#[tokio::test]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn lost_connection_is_distinguished_from_an_exit() {
    let space = space("cut").await;
    space.pod("count", COUNT).await;
    let proxy = Proxy::start(&space).await;
    let (reader, mut writer) = attach(&proxy.access, "count", CONTAINER).await.unwrap();
    let mut reader = BufReader::new(reader);
    writer.write_all(b"one\n").await.unwrap();
    assert_eq!(line(&mut reader).await, "1 one\n");
    proxy.cut();
    let error = reader.read_line(&mut String::new()).await.unwrap_err();
    assert!(error.to_string().contains("the attach was cut"), "{error}");
    assert!(writer.write_all(b"lost\n").await.is_err());
    let (reader, mut writer) = attach(&proxy.access, "count", CONTAINER).await.unwrap();
    writer.write_all(b"two\n").await.unwrap();
    assert_eq!(line(&mut BufReader::new(reader)).await, "2 two\n");
    space.leave().await;
}

#[tokio::test]
#[ignore = "needs a cluster: .ci/kubernetes runs it"]
async fn missing_pod_is_named_in_the_error() {
    let space = space("absent").await;
    let error = attach(&space.admin, "nobody", CONTAINER).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("pods/attach nobody"), "{error}");
    let token = space.account("weak").await;
    let weak = space.open_as(&token).await;
    let error = attach(&weak, "nobody", CONTAINER).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(
        error.to_string().contains(r#"resources: ["pods/attach"]"#),
        "{error}"
    );
    space.leave().await;
}
