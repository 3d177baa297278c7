//! Images: smaller where that is asked for, with every pixel as it was, and pages that know their size.

use libtest_mimic::Trial;

use crate::browser::browse;
use crate::setup::{Need, packages};
use crate::site::Site;
use crate::trials;

pub fn trials() -> Vec<Trial> {
    let mut trials = trials![
        images_stay_as_they_are_unless_something_else_is_asked_for,
        what_changes_how_it_looks_is_kept,
        a_broken_png_is_a_warning,
        an_image_is_made_smaller_once,
        images_get_their_size,
        images_that_say_something_of_their_size_are_left_alone,
        pictures_get_sizes_only_if_all_sources_do,
        sizes_can_be_left_out,
    ];
    trials.extend(trials![[Need::Browser]; pngs_keep_every_pixel_and_frame]);
    trials.extend(trials![[Need::Browser, Need::Packages]; svgs_look_as_they_did]);
    trials
}

const OPTIMIZE: &str = "[images]\noptimize = true\n";

fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let named = [name, data].concat();
    let mut sum = libdeflater::Crc::new();
    sum.update(&named);
    [&(data.len() as u32).to_be_bytes()[..], &named, &sum.sum().to_be_bytes()].concat()
}

fn png(chunks: &[Vec<u8>]) -> Vec<u8> {
    [b"\x89PNG\r\n\x1a\n", &chunks.concat()[..], &chunk(b"IEND", &[])].concat()
}

/// Of 8 bits a channel, red, green, blue and how opaque.
fn header(width: u32, height: u32) -> Vec<u8> {
    chunk(b"IHDR", &[&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 6, 0, 0, 0]].concat())
}

/// Stripes that depend on the seed, packed badly.
fn pixels(width: u32, height: u32, seed: u32) -> Vec<u8> {
    let mut raw = Vec::new();
    for y in 0..height {
        raw.push(0);
        for x in 0..width {
            raw.extend([(x * 3 + seed) as u8, (y * 5) as u8, (x + y) as u8, if x < seed { 128 } else { 255 }]);
        }
    }
    let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::fastest());
    let mut out = vec![0; compressor.zlib_compress_bound(raw.len())];
    let length = compressor.zlib_compress(&raw, &mut out).expect("it compresses");
    out.truncate(length);
    out
}

fn picture(width: u32, height: u32) -> Vec<u8> {
    png(&[header(width, height), chunk(b"IDAT", &pixels(width, height, 9))])
}

/// Two frames, the first of which is the image that other programs show.
fn animation(width: u32, height: u32) -> Vec<u8> {
    let control = |sequence: u32, delay: u16| {
        let place = [sequence, width, height, 0, 0].map(u32::to_be_bytes).concat();
        chunk(b"fcTL", &[&place[..], &delay.to_be_bytes(), &1000u16.to_be_bytes(), &[0, 0]].concat())
    };
    png(&[
        header(width, height),
        chunk(b"acTL", &[2u32.to_be_bytes(), 0u32.to_be_bytes()].concat()),
        control(0, 100),
        chunk(b"IDAT", &pixels(width, height, 9)),
        control(1, 300),
        chunk(b"fdAT", &[&2u32.to_be_bytes()[..], &pixels(width, height, 30)].concat()),
    ])
}

fn images_stay_as_they_are_unless_something_else_is_asked_for() {
    let site =
        Site::new().asset("img/a.png", picture(64, 48)).asset("img/b.jpg", "no JPEG").asset("img/c.png", "no PNG");
    let dist = site.build(&[]);
    assert_eq!(dist.bytes(&dist.named("img/a.png")), picture(64, 48));
    site.write("fingerpost.toml", OPTIMIZE);
    let dist = site.build(&[]);
    assert!(dist.bytes(&dist.named("img/a.png")).len() < picture(64, 48).len() / 2);
    assert_eq!(dist.bytes(&dist.named("img/b.jpg")), b"no JPEG");
}

fn what_changes_how_it_looks_is_kept() {
    let gamma = chunk(b"gAMA", &45_455u32.to_be_bytes());
    let text = chunk(b"tEXt", b"Comment\0made by somebody");
    let image = png(&[header(64, 48), gamma.clone(), text, chunk(b"IDAT", &pixels(64, 48, 9))]);
    let dist = Site::new().config(OPTIMIZE).asset("img/a.png", image).build(&[]);
    let made = dist.bytes(&dist.named("img/a.png"));
    assert!(made.windows(gamma.len()).any(|window| window == gamma));
    assert!(!String::from_utf8_lossy(made).contains("made by somebody"));
}

fn a_broken_png_is_a_warning() {
    let mut broken = picture(64, 48);
    let middle = broken.len() / 2;
    broken[middle] ^= 1;
    // Larger than any memory, and frames without what frames have.
    let vast = png(&[header(u32::MAX, u32::MAX), chunk(b"IDAT", &pixels(1, 1, 9))]);
    let frames = [header(1, 1), chunk(b"acTL", &[0; 8]), chunk(b"IDAT", &pixels(1, 1, 9)), chunk(b"fdAT", &[0; 3])];
    let images = [broken.clone(), b"no image".to_vec(), Vec::new(), vast, png(&frames)];
    let site = Site::new().config(OPTIMIZE);
    for (index, image) in images.iter().enumerate() {
        site.write(&format!("assets/img/{index}.png"), image);
    }
    let run = site.run(&["build"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let warnings: Vec<_> = run.stderr.lines().filter(|line| line.starts_with("warning: ")).collect();
    for index in 0..images.len() {
        let want = format!("`img/{index}.png` is no valid PNG, and stays as it is: ");
        assert!(warnings.iter().any(|line| line.contains(&want)), "{want} in {warnings:?}");
    }
    let dist = site.build(&[]);
    assert_eq!(dist.bytes(&dist.named("img/0.png")), broken);
}

fn an_image_is_made_smaller_once() {
    let site = Site::new().config(OPTIMIZE).asset("img/a.png", picture(64, 48)).asset("img/b.png", animation(64, 48));
    let first = site.build(&[]);
    let run = site.run(&["build", "--verbose"]);
    assert!(run.stderr.contains("cache: 2 of 2 results were there"), "{}", run.stderr);
    assert_eq!(&crate::site::tree(&site.root().join("dist")), first.tree());
}

fn pngs_keep_every_pixel_and_frame() {
    let names = ["still", "moving"];
    let site = Site::new()
        .config(OPTIMIZE)
        .asset("img/still.png", picture(64, 48))
        .asset("img/moving.png", animation(64, 48))
        .asset("public/still.png", picture(64, 48))
        .asset("public/moving.png", animation(64, 48))
        .template("index.html", "<!doctype html><link rel=icon href='data:,'><title>t</title>");
    let dist = site.build(&["--no-compress"]);
    let server = site.serve(&["serve", "--listen", "127.0.0.1:0"]);
    browse(async |browser| {
        browser.open(&format!("http://{}/", server.address)).await;
        for (name, frames) in names.into_iter().zip([1, 2]) {
            let made = dist.named(&format!("img/{name}.png"));
            assert!(dist.bytes(&made).len() < dist.bytes(&format!("{name}.png")).len(), "{name}");
            let script = format!(
                "const look = async (url) => {{
                   const decoder = new ImageDecoder({{ type: 'image/png', data: (await fetch(url)).body }});
                   await decoder.completed;
                   const frames = [];
                   for (let frameIndex = 0; frameIndex < decoder.tracks.selectedTrack.frameCount; frameIndex++) {{
                     const {{ image }} = await decoder.decode({{ frameIndex }});
                     const canvas = new OffscreenCanvas(image.displayWidth, image.displayHeight);
                     const context = canvas.getContext('2d');
                     context.drawImage(image, 0, 0);
                     const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
                     frames.push([canvas.width, canvas.height, image.duration, pixels.join()]);
                   }}
                   return frames;
                 }};
                 const [before, after] = [await look('/{name}.png'), await look('/{made}')];
                 return [after.length, JSON.stringify(before) === JSON.stringify(after)];"
            );
            assert_eq!(browser.run(&script).await, serde_json::json!([frames, true]), "{name}");
        }
    });
}

/// As an editor saves it: with notes of its own, comments, and white space that means something in one place only.
const DRAWING: &str = r##"<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<!-- Created with an editor (https://editor.example/) -->
<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd" [
  <!ENTITY deep "#123456">
]>
<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="120" height="80"
     xmlns:sodipodi="http://sodipodi.sourceforge.net/DTD/sodipodi-0.dtd" sodipodi:docname="drawing.svg" viewBox="0 0 120 80">
  <sodipodi:namedview pagecolor="#ffffff" />
  <metadata><a xmlns="https://example.org/">notes</a></metadata>
  <defs>
    <linearGradient id="shade"><stop offset="0" stop-color="rgb(255,0,0)"/><stop offset="1" stop-color="#0000FF80"/></linearGradient>
    <clipPath id="cut"><circle cx="60" cy="40" r="38.25001"/></clipPath>
    <g id="leaf"><path d="M 0.33333333,0
        C 10,10 20,-10 30.123456789,0" stroke="&deep;" fill="none" stroke-width="2.5px" /></g>
  </defs>
  <g clip-path="url(#cut)" transform="  rotate( 3.3333333 )  ">
    <rect width="120" height="80" style="fill : url(#shade) ;  opacity : .75" />
    <use xlink:href="#leaf" x="20" y="30"/> <use href="#leaf" x="40" y="50" />
  </g>
  <g></g>
  <text x="5" y="70" font-size="12" font-family="monospace">two  <tspan fill="Green">words</tspan> here</text>
</svg>
"##;

fn svgs_look_as_they_did() {
    let mut site = Site::new()
        .config(OPTIMIZE)
        .asset("img/drawing.svg", DRAWING)
        .asset("public/img/drawing.svg", DRAWING)
        .template("index.html", "<!doctype html><link rel=icon href='data:,'><title>t</title>");
    let mut names = vec!["drawing.svg".to_owned()];
    for folder in ["startbootstrap-sb-admin-2/img", "leaflet/src/images", "ace-builds/css"] {
        for entry in std::fs::read_dir(packages().join(folder)).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.ends_with(".svg") {
                let bytes = std::fs::read(&path).expect("a file");
                site = site.asset(&format!("img/{name}"), &bytes).asset(&format!("public/img/{name}"), &bytes);
                names.push(name);
            }
        }
    }
    let dist = site.build(&["--no-compress"]);
    let made: Vec<(String, String)> =
        names.iter().map(|name| (format!("img/{name}"), dist.named(&format!("img/{name}")))).collect();
    let smaller = made.iter().filter(|(before, after)| dist.bytes(after).len() < dist.bytes(before).len()).count();
    assert!(smaller > 8, "{smaller} of {}", made.len());
    let server = site.serve(&["serve", "--listen", "127.0.0.1:0"]);
    browse(async |browser| {
        browser.open(&format!("http://{}/", server.address)).await;
        let script = format!(
            "const look = async (url) => {{
               const image = new Image();
               image.src = '/' + url;
               await image.decode();
               const canvas = new OffscreenCanvas(240, 240);
               const context = canvas.getContext('2d');
               context.drawImage(image, 0, 0, 240, 240);
               return [image.naturalWidth, image.naturalHeight, context.getImageData(0, 0, 240, 240).data];
             }};
             const others = [];
             for (const [before, after] of {}) {{
               const [[width, height, one], [width2, height2, two]] = [await look(before), await look(after)];
               const drawn = one.some((value) => value > 0);
               const same = width === width2 && height === height2 && one.every((value, index) => value === two[index]);
               if (!drawn || !same) others.push(before);
             }}
             return others;",
            serde_json::json!(made)
        );
        assert_eq!(browser.run(&script).await, serde_json::json!([]));
    });
}

/// A site with images of several kinds, and its front page after a build.
fn shown(config: &str, body: &str) -> String {
    let site = Site::new()
        .config(config)
        .asset("img/a.png", picture(64, 48))
        .asset("img/a2.png", picture(128, 96))
        .asset("img/tall.png", picture(48, 64))
        .asset("img/b.gif", b"GIF89a\x0a\0\x14\0\0\0\0")
        .asset("img/c.svg", "<svg xmlns='http://www.w3.org/2000/svg' width='24' viewBox='0 0 2 1'/>")
        .asset("img/fills.svg", "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 2 1'/>")
        .asset("img/broken.png", "\u{89}PNG")
        .asset("public/p.png", picture(1, 1))
        .template(
            "index.html",
            format!("<!doctype html><html lang=en><head><title>t</title></head><body>{body}</body></html>"),
        );
    let dist = site.build(&["--no-compress", "--mode", "development"]);
    let page = dist.read("index.html");
    let body = page.split("<body>").nth(1).and_then(|rest| rest.split("</body>").next()).expect("a body");
    ["a.png", "a2.png", "tall.png", "b.gif", "c.svg", "fills.svg", "broken.png"].iter().fold(
        body.to_owned(),
        |body, name| {
            let file = dist.named(&format!("img/{name}"));
            body.replace(&format!("/{file}"), &format!("/{name}"))
        },
    )
}

fn images_get_their_size() {
    for (image, want) in [
        (r#"<img src="/static/img/a.png">"#, r#"<img src="/a.png" width="64" height="48">"#),
        (r#"<img src="img/b.gif?v#i">"#, r#"<img src="/b.gif?v#i" width="10" height="20">"#),
        (r#"<img src="/assets/img/c.svg">"#, r#"<img src="/c.svg" width="24" height="12">"#),
        (
            r#"<img src="/static/img/a.png" srcset="/static/img/a2.png 2x">"#,
            r#"<img src="/a.png" srcset="/a2.png 2x" width="64" height="48">"#,
        ),
        (
            r#"<noscript><img src="/static/img/a.png"></noscript>"#,
            r#"<noscript><img src="/a.png" width="64" height="48"></noscript>"#,
        ),
    ] {
        assert_eq!(shown("", image), want, "{image}");
    }
}

fn images_that_say_something_of_their_size_are_left_alone() {
    for (image, want) in [
        (r#"<img src="/static/img/a.png" width="10">"#, r#"<img src="/a.png" width="10">"#),
        (r#"<img src="/static/img/a.png" height="10">"#, r#"<img src="/a.png" height="10">"#),
        (r#"<img src="/static/img/a.png" style="width: 5em">"#, r#"<img src="/a.png" style="width: 5em">"#),
        // These fill the space there is, which a size would end.
        (r#"<img src="/static/img/fills.svg">"#, r#"<img src="/fills.svg">"#),
        (
            r#"<img src="/static/img/a.png" srcset="/static/img/a.png 64w, /static/img/a2.png 128w" sizes="50vw">"#,
            r#"<img src="/a.png" srcset="/a.png 64w, /a2.png 128w" sizes="50vw">"#,
        ),
        // A browser may take an image of another shape.
        (
            r#"<img src="/static/img/a.png" srcset="/static/img/tall.png 2x">"#,
            r#"<img src="/a.png" srcset="/tall.png 2x">"#,
        ),
        (
            r#"<img src="/static/img/a.png" srcset="https://x.example/a.png 2x">"#,
            r#"<img src="/a.png" srcset="https://x.example/a.png 2x">"#,
        ),
        (r#"<img src="https://x.example/a.png">"#, r#"<img src="https://x.example/a.png">"#),
        (r#"<img src="/static/img/broken.png">"#, r#"<img src="/broken.png">"#),
        (r#"<img alt="">"#, r#"<img alt="">"#),
        (r#"<video src="/static/img/a.png"></video>"#, r#"<video src="/a.png"></video>"#),
    ] {
        assert_eq!(shown("", image), want, "{image}");
    }
}

fn pictures_get_sizes_only_if_all_sources_do() {
    assert_eq!(
        shown(
            "",
            r#"<picture><source srcset="/static/img/tall.png" media="(width < 9em)"><img src="/static/img/a.png"></picture>"#
        ),
        r#"<picture><source srcset="/tall.png" media="(width < 9em)" width="48" height="64"><img src="/a.png" width="64" height="48"></picture>"#
    );
    assert_eq!(
        shown(
            "",
            r#"<picture><source srcset="https://x.example/a.avif"><img src="/static/img/a.png"></picture><img src="/static/img/a.png">"#
        ),
        r#"<picture><source srcset="https://x.example/a.avif"><img src="/a.png"></picture><img src="/a.png" width="64" height="48">"#
    );
}

fn sizes_can_be_left_out() {
    let image = r#"<img src="/static/img/a.png">"#;
    assert_eq!(shown("[images]\ndimensions = false\n", image), r#"<img src="/a.png">"#);
}
