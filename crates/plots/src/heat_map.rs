use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::palette::{COLOURS, text_style};
use crate::svg::{Svg, draw_on_white};

const CELL: i32 = 16;
const TOP: i32 = 40;
const ROOM_PER_CHARACTER: f64 = 7.4;

/// A matrix as a grid of squares: the higher the value, the darker the square. `values` holds the rows from the top,
/// each with a value for each column. The title names the highest value.
///
/// # Panics
/// If the number of names and of values differs.
pub fn heat_map(title: &str, rows: &[String], columns: &[String], values: &[Vec<f32>]) -> Svg {
    assert_eq!(rows.len(), values.len(), "a name for each row");
    for row in values {
        assert_eq!(columns.len(), row.len(), "a name for each column");
    }
    let highest = values
        .iter()
        .flatten()
        .copied()
        .filter(|value| value.is_finite());
    let highest = highest.fold(0.0, f32::max);
    let room = |names: &[String]| {
        let longest = names.iter().map(|name| name.chars().count()).max();
        14 + (ROOM_PER_CHARACTER * longest.unwrap_or(0) as f64) as i32
    };
    let (left, top) = (room(rows), TOP + room(columns));
    let width = (left + CELL * columns.len() as i32 + 16).max(340);
    let height = top + CELL * rows.len() as i32 + 12;
    draw_on_white((width as u32, height as u32), |page| {
        let title = format!("{title} (darkest: {highest:.2})");
        page.draw(&Text::new(title, (12, 12), text_style(15.0)))?;
        let right = text_style(12.0).pos(Pos::new(HPos::Right, VPos::Center));
        let upwards = FontTransform::Rotate270;
        let up = text_style(12.0)
            .transform(upwards)
            .pos(Pos::new(HPos::Left, VPos::Center));
        for (index, name) in columns.iter().enumerate() {
            let x = left + CELL * index as i32 + CELL / 2;
            page.draw(&Text::new(name.as_str(), (x, top - 5), up.clone()))?;
        }
        for (row, (name, values)) in rows.iter().zip(values).enumerate() {
            let y = top + CELL * row as i32;
            page.draw(&Text::new(
                name.as_str(),
                (left - 6, y + CELL / 2),
                right.clone(),
            ))?;
            for (column, value) in values.iter().enumerate() {
                let x = left + CELL * column as i32;
                let corners = [(x, y), (x + CELL - 1, y + CELL - 1)];
                page.draw(&Rectangle::new(corners, shade(*value, highest).filled()))?;
            }
        }
        Ok(())
    })
}

/// A colour between nearly white and the first of the palette.
fn shade(value: f32, highest: f32) -> RGBColor {
    let share = if highest > 0.0 && value.is_finite() {
        f64::from((value / highest).clamp(0.0, 1.0))
    } else {
        0.0
    };
    let RGBColor(red, green, blue) = COLOURS[0];
    let mix = |full: u8| (245.0 + share * (f64::from(full) - 245.0)).round() as u8;
    RGBColor(mix(red), mix(green), mix(blue))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_value_is_the_darkest_square() {
        let names = |text: &str| text.split(' ').map(String::from).collect::<Vec<_>>();
        let values = [vec![0.0, 0.5], vec![0.25, 0.125]];
        let svg = heat_map("Head 3", &names("who [SEP]"), &names("a b"), &values);
        let squares = svg
            .as_str()
            .lines()
            .filter(|line| line.starts_with("<rect"));
        assert_eq!(squares.count(), 1 + 4);
        assert_eq!(svg.as_str().matches("fill=\"#1F6FB2\"").count(), 1);
        assert_eq!(svg.as_str().matches("fill=\"#F5F5F5\"").count(), 1);
        assert!(svg.as_str().contains("Head 3 (darkest: 0.50)"), "{svg:?}");
        assert!(svg.as_str().contains("[SEP]"), "{svg:?}");
    }

    #[test]
    fn empty_and_nan_matrices_can_be_drawn() {
        heat_map("empty", &[], &[], &[]);
        let one = ["a".to_owned()];
        assert!(
            !heat_map("t", &one, &one, &[vec![f32::NAN]])
                .as_str()
                .contains("NaN")
        );
    }
}
