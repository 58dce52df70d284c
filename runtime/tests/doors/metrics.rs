//! The page of figures at the HTTP door.

use super::support::TestDoor;

#[tokio::test]
async fn figures_of_the_node_and_of_the_requests_are_one_page() {
    let door = TestDoor::open(|_| {}).await;
    assert_eq!(door.request("GET", "/api/v1/triggers").send().await.unwrap().status(), 200);
    assert_eq!(
        door.request("GET", "/api/v1/instances/01900000-0000/none").send().await.unwrap().status(),
        404
    );
    assert_eq!(door.request("GET", "/who/knows").send().await.unwrap().status(), 404);
    let url = door.request("GET", "/metrics").build().unwrap().url().clone();
    assert_eq!(
        reqwest::get(url).await.unwrap().status(),
        401,
        "names of adapters are for those with the token"
    );
    let page = door.request("GET", "/metrics").send().await.unwrap();
    assert_eq!(page.status(), 200);
    let kind = page.headers()["content-type"].to_str().unwrap().to_owned();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    let page = page.text().await.unwrap();
    for line in [
        "impresario_of_the_node_total 0",
        r#"impresario_http_request_seconds_count{route="/api/v1/triggers",method="GET",status="200"} 1"#,
        // A path of somebody's own makes no figure of its own.
        r#"impresario_http_request_seconds_count{route="unmatched",method="GET",status="404"} 2"#,
        r#"impresario_http_request_seconds_count{route="unmatched",method="GET",status="401"} 1"#,
    ] {
        assert!(page.lines().any(|found| found == line), "expected '{line}' in:\n{page}");
    }
    assert!(page.ends_with("# EOF\n"), "{page}");
}
