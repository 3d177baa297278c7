//! Charts, drawn by plotters as SVG that takes its colours from the page.
//!
//! plotters writes colours as numbers. Each stands for a variable of the page's style here, and is replaced by it afterwards, so that
//! a chart is light or dark as its page is.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// A chart of lines. Coordinates are those of the drawing: who wants a logarithmic axis, gives logarithms.
pub struct Lines {
    pub id: String,
    pub title: String,
    /// What is to be seen, for who does not see it.
    pub description: String,
    pub x: Axis,
    pub y: Axis,
    pub lines: Vec<Line>,
}

/// An axis with the ticks that it is given.
#[derive(Clone)]
pub struct Axis {
    pub label: String,
    pub low: f64,
    pub high: f64,
    pub ticks: Vec<(f64, String)>,
}

pub struct Line {
    pub name: String,
    /// Which of the page's colours and dashes.
    pub series: usize,
    pub points: Vec<(f64, f64)>,
}

/// A chart with a row for each name: shapes and marks along one axis.
pub struct Rows {
    pub id: String,
    pub title: String,
    pub description: String,
    pub x: Axis,
    pub rows: Vec<RowOf>,
}

pub struct RowOf {
    pub name: String,
    pub series: usize,
    /// Heights from 0 to 1 along the axis.
    pub shape: Vec<(f64, f64)>,
    pub marks: Vec<Mark>,
}

pub struct Mark {
    pub series: usize,
    /// Circle, triangle, cross.
    pub marker: usize,
    pub at: f64,
    /// Its bounds.
    pub low: f64,
    pub high: f64,
}

/// Colours of the page for series: `--s0` and so on; after these they begin anew, with other dashes.
pub const SERIES: usize = 8;

/// Series that can be told apart.
const ALL_SERIES: usize = SERIES * SERIES;

const GRID: RGBColor = RGBColor(1, 1, 0);
const INK: RGBColor = RGBColor(1, 2, 0);
const SOFT: RGBColor = RGBColor(1, 3, 0);
const FONT: &str = "sans-serif";
const DASHES: [&str; SERIES] = ["", "9 4", "2 3", "12 3 2 3", "5 2", "14 5", "3 2 8 2", "1 2"];

fn color(series: usize) -> RGBColor {
    RGBColor(2, 0, (series % ALL_SERIES) as u8)
}

type Drawn = Result<(), Box<dyn std::error::Error>>;

/// None of what can't be drawn, which is none that there is a reason for.
pub fn lines(chart: &Lines) -> Option<String> {
    let size = (880, 400);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        draw_lines(&area, chart).ok()?;
        area.present().ok()?;
    }
    Some(themed(&svg, size, &chart.id, &chart.title, &chart.description))
}

pub fn rows(chart: &Rows) -> Option<String> {
    let size = (880, 70 + 44 * u32::try_from(chart.rows.len()).ok()?);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        draw_rows(&area, chart).ok()?;
        area.present().ok()?;
    }
    Some(themed(&svg, size, &chart.id, &chart.title, &chart.description))
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let share = (value - self.low) / (self.high - self.low).max(f64::MIN_POSITIVE);
        from + (share * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        let light = hint.weight().allow_light_points();
        self.ticks.iter().filter(|_| !light).map(|(at, _)| *at).collect()
    }

    fn range(&self) -> Range<f64> {
        self.low..self.high
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        self.ticks.iter().find(|(at, _)| at == value).map(|(_, label)| label.clone()).unwrap_or_default()
    }
}

fn draw_lines(area: &Area<'_>, chart: &Lines) -> Drawn {
    let (x, y) = (&chart.x, &chart.y);
    let mut plot = ChartBuilder::on(area)
        .margin_top(10)
        .margin_right(210)
        .x_label_area_size(48)
        .y_label_area_size(84)
        .build_cartesian_2d(x.clone(), y.clone())?;
    plot.configure_mesh().disable_axes().bold_line_style(GRID).light_line_style(TRANSPARENT).draw()?;
    plot.configure_mesh()
        .disable_mesh()
        .axis_style(SOFT)
        .label_style((FONT, 15).into_font().color(&INK))
        .axis_desc_style((FONT, 15).into_font().color(&SOFT))
        .x_labels(x.ticks.len().max(2))
        .y_labels(y.ticks.len().max(2))
        .x_desc(&x.label)
        .y_desc(&y.label)
        .draw()?;
    let mut ends = Vec::new();
    for line in &chart.lines {
        let style = color(line.series).stroke_width(2);
        plot.draw_series(LineSeries::new(line.points.iter().copied(), style))?;
        if let Some(last) = line.points.last() {
            ends.push((plot.backend_coord(last), line));
        }
    }
    // Names stand where the lines end, apart from each other.
    ends.sort_by_key(|((_, y), _)| *y);
    let (right, bottom) = plot.backend_coord(&(x.high, y.low));
    let mut at: Vec<i32> = Vec::new();
    for ((_, y), _) in &ends {
        at.push(at.last().map_or(*y, |above| (above + 18).max(*y)));
    }
    let over = at.last().map_or(0, |last| (last - bottom).max(0));
    let mut below = i32::MAX;
    for y in at.iter_mut().rev() {
        *y = (*y).min(below - 18).min(bottom.min(*y + over));
        below = *y;
    }
    let label = (FONT, 15).into_font().color(&INK).pos(Pos::new(HPos::Left, VPos::Center));
    for (((x, y), line), to) in ends.iter().zip(&at) {
        let style = color(line.series).stroke_width(2);
        area.draw(&PathElement::new(vec![(*x, *y), (right + 10, *to), (right + 28, *to)], style))?;
        area.draw(&Text::new(line.name.clone(), (right + 34, *to), label.clone()))?;
    }
    Ok(())
}

fn draw_rows(area: &Area<'_>, chart: &Rows) -> Drawn {
    let x = &chart.x;
    let count = chart.rows.len() as f64;
    let tick = |(row, of): (usize, &RowOf)| (count - 0.5 - row as f64, of.name.clone());
    let ticks = chart.rows.iter().enumerate().map(tick).collect();
    let names = Axis { label: String::new(), low: 0.0, high: count, ticks };
    let mut plot = ChartBuilder::on(area)
        .margin_top(10)
        .margin_right(30)
        .x_label_area_size(48)
        .y_label_area_size(170)
        .build_cartesian_2d(x.clone(), names)?;
    plot.configure_mesh().disable_axes().disable_y_mesh().bold_line_style(GRID).light_line_style(TRANSPARENT).draw()?;
    plot.configure_mesh()
        .disable_mesh()
        .axis_style(GRID)
        .label_style((FONT, 15).into_font().color(&INK))
        .axis_desc_style((FONT, 15).into_font().color(&SOFT))
        .x_labels(x.ticks.len().max(2))
        .y_labels(chart.rows.len().max(2))
        .x_desc(&x.label)
        .draw()?;
    for (at, row) in chart.rows.iter().enumerate() {
        let base = count - 1.0 - at as f64 + 0.12;
        let shape = row.shape.iter().map(|(x, height)| (*x, base + height * 0.78));
        if !row.shape.is_empty() {
            plot.draw_series(
                AreaSeries::new(shape, base, color(row.series).mix(0.35)).border_style(color(row.series)),
            )?;
        }
        for mark in &row.marks {
            let y = base + 0.38;
            let style = color(mark.series).stroke_width(2);
            plot.draw_series([PathElement::new(vec![(mark.low, y), (mark.high, y)], style)])?;
            match mark.marker {
                0 => plot.draw_series([Circle::new((mark.at, y), 5, color(mark.series).filled())])?,
                1 => plot.draw_series([TriangleMarker::new((mark.at, y), 6, color(mark.series).filled())])?,
                _ => plot.draw_series([Cross::new((mark.at, y), 5, color(mark.series).stroke_width(3))])?,
            };
        }
    }
    Ok(())
}

/// The page's variables in the places of colours, and a name and a description in front.
fn themed(svg: &str, (width, height): (u32, u32), id: &str, title: &str, description: &str) -> String {
    let drawing = svg.split_once('>').map_or("", |(_, rest)| rest);
    let mut out = drawing.replace("font-family=\"sans-serif\"", "");
    for (sentinel, name) in [(GRID, "line"), (INK, "ink"), (SOFT, "soft")] {
        out = replaced(out, sentinel, name, "");
    }
    for series in 0..ALL_SERIES {
        let dash = DASHES[(series + series / SERIES) % SERIES];
        out = replaced(out, color(series), &format!("s{}", series % SERIES), dash);
    }
    let (title, description) = (escaped(title), escaped(description));
    format!(
        "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-labelledby=\"{id}-title {id}-desc\">\
         <title id=\"{id}-title\">{title}</title><desc id=\"{id}-desc\">{description}</desc>{out}"
    )
}

fn replaced(svg: String, RGBColor(red, green, blue): RGBColor, name: &str, dash: &str) -> String {
    let number = format!("#{red:02X}{green:02X}{blue:02X}");
    if !svg.contains(&number) {
        return svg;
    }
    let dash = if dash.is_empty() { String::new() } else { format!(" stroke-dasharray=\"{dash}\"") };
    // Only lines are dashed, which plotters writes as polylines.
    let svg = svg
        .split_inclusive("/>")
        .map(|element| {
            let dash = if element.contains("<polyline") { dash.as_str() } else { "" };
            element.replace(&format!("stroke=\"{number}\""), &format!("style=\"stroke:var(--{name})\"{dash}"))
        })
        .collect::<String>();
    svg.replace(&format!("fill=\"{number}\""), &format!("style=\"fill:var(--{name})\""))
}

pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_the_pages_and_nothing_of_a_name_is_markup() {
        let axis = || Axis {
            label: "a <b>".to_owned(),
            low: 0.0,
            high: 2.0,
            ticks: vec![(0.0, "0".to_owned()), (1.0, "1 & 2".to_owned())],
        };
        let line =
            |series: usize| Line { name: format!("<script>{series}"), series, points: vec![(0.0, 0.0), (2.0, 1.5)] };
        let svg = lines(&Lines {
            id: "x".to_owned(),
            title: "<i>".to_owned(),
            description: "\"&".to_owned(),
            x: axis(),
            y: axis(),
            lines: (0..9).map(line).collect(),
        })
        .expect("a drawing");
        assert!(!svg.contains("=\"#"), "a colour that is not the page's: {svg}");
        assert!(!svg.contains("<script") && !svg.contains("<i>") && !svg.contains("<b>"), "{svg}");
        assert!(svg.contains("var(--s7)") && svg.contains("stroke-dasharray"), "{svg}");
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{svg}");
    }
}
