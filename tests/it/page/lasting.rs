//! The pages that somebody is sent or prints: about a person, about a resource, and everybody with access as a list.

use serde_json::json;

use super::{address, browser::Browser, fits, is_sound, rules, text, turning};

#[tokio::test(flavor = "multi_thread")]
async fn pages_that_are_sent_to_somebody_read_well_on_every_screen() {
    let browser = Browser::start().await;
    let scene = turning(rules()).await;
    browser.screen(1280, 900).await;
    let lasting = ["why?email=ana%40example.com", "why?resource=prod-postgres", "review", "review?show=all"];
    for (number, path) in lasting.into_iter().enumerate() {
        browser.open(&format!("{}{path}", address(&scene))).await;
        is_sound(&browser, &format!("lasting-{number}")).await;
        let rooted = "[...document.querySelectorAll('a')].map(a => a.getAttribute('href')).filter(h => h.startsWith('/'))";
        assert_eq!(
            browser.value(rooted).await,
            json!([]),
            "{path}: links that a path before ours would break"
        );
        browser.screen(360, 780).await;
        is_sound(&browser, &format!("lasting-{number}-phone")).await;
        browser.screen(1280, 900).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_printed_is_black_on_white_and_open() {
    let browser = Browser::start().await;
    let scene = turning(rules()).await;
    browser.screen(1280, 900).await;
    browser.as_printed().await;
    for path in ["", "review"] {
        browser.open(&format!("{}{path}", address(&scene))).await;
        browser.value("dispatchEvent(new Event('beforeprint'))").await;
        let colours = "[document.documentElement, ...document.querySelectorAll('main, th, td')].map(e => \
                       getComputedStyle(e)).map(s => s.color + s.backgroundColor).filter(c => \
                       !/^rgb\\(0, 0, 0\\)rgb(a\\(0, 0, 0, 0\\)|\\(255, 255, 255\\))$/.test(c))";
        assert_eq!(browser.value(colours).await, json!([]), "{path}");
        let hidden = "[...document.querySelectorAll('.top nav, .controls, .tools, #sync')].filter(e => e.offsetHeight > 0).length";
        assert_eq!(browser.value(hidden).await, 0, "{path}");
        let closed = "document.querySelectorAll('main details:not([open])').length";
        assert_eq!(browser.value(closed).await, 0, "{path}");
        let said = text(&browser).await;
        for words in ["Ana Lima (ana@example.com)", "prod-postgres", ", store ", "UTC"] {
            assert!(
                said.replace(" · store", ", store").contains(words),
                "{path}: {words} is missing in {said}"
            );
        }
        fits(&browser, "print").await;
        browser.picture(if path.is_empty() { "print" } else { "print-review" }).await;
        browser.value("dispatchEvent(new Event('afterprint'))").await;
        let open = "document.querySelectorAll('#grants-table[open]').length";
        assert_eq!(browser.value(open).await, 0, "{path}: what was closed before is closed again");
    }
}
