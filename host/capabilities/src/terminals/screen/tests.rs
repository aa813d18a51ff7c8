use proptest::prelude::*;

use alacritty_terminal::term::cell::Flags;

use super::*;

const SIZE: Size = Size { cols: 20, rows: 5 };

fn model(bytes: &[u8]) -> ScreenModel {
    let mut model = ScreenModel::new(SIZE, 2000);
    model.process(bytes);
    model
}

fn drawn(model: &mut ScreenModel) -> Vec<u8> {
    model.rebuild(usize::MAX, usize::MAX).bytes
}

/// A second emulator that has been used for something else before.
fn copy_of(original: &mut ScreenModel) -> ScreenModel {
    let mut copy = ScreenModel::new(original.size(), 2000);
    copy.process(b"\x1b[44mold\x1b[?1049h\x1b[?2004h rubbish\x1b[2;4r\x1b(0\x1b]4;1;red\x07\x1b[4h");
    copy.process(&drawn(original));
    copy
}

/// All cells of a screen and what is above it, with what no emulator can be told made equal.
fn grid(model: &ScreenModel) -> Vec<Vec<Cell>> {
    let grid = model.tracker.term.grid();
    let above = if model.alternate_screen() { 0 } else { line_number(grid.history_size()) };
    let rows = (-above..i32::from(model.size().rows)).map(|line| {
        let row = &grid[Line(line)][..];
        let cell = |(column, cell): (usize, &Cell)| {
            let mut cell = cell.clone();
            let half = cell.flags.intersects(Flags::WIDE_CHAR | Flags::WIDE_CHAR_SPACER)
                && !draw::is_wide(row, column)
                && (column == 0 || !draw::is_wide(row, column - 1));
            if cell.c == '\t' || half {
                cell.c = ' ';
            }
            if half {
                let (link, underline) = (cell.hyperlink(), cell.underline_color());
                cell.extra = None;
                cell.set_hyperlink(link);
                cell.set_underline_color(underline);
            }
            // A line that ends with the screen goes on nowhere; a gap is one only where a wide letter follows.
            cell.flags.remove(Flags::WRAPLINE | Flags::LEADING_WIDE_CHAR_SPACER);
            if half {
                cell.flags.remove(Flags::WIDE_CHAR | Flags::WIDE_CHAR_SPACER);
            }
            if cell.zerowidth().is_some_and(<[char]>::is_empty)
                && cell.hyperlink().is_none()
                && cell.underline_color().is_none()
            {
                cell.extra = None;
            }
            cell
        };
        row.iter().enumerate().map(cell).collect()
    });
    rows.collect()
}

fn assert_rows(rows: &[Vec<Cell>], others: &[Vec<Cell>]) -> Result<(), TestCaseError> {
    for (number, (row, other)) in rows.iter().zip(others).enumerate() {
        let drawn = |row: &[Cell]| {
            let mut bytes = Vec::new();
            draw::row(row, None, &mut bytes);
            String::from_utf8(bytes).unwrap()
        };
        let at = row.iter().zip(other).position(|(cell, other)| cell != other);
        let cells = at.map(|at| (at, &row[at], &other[at]));
        prop_assert!(row == other, "row {number}: {:?} is not {:?}, {cells:?}", drawn(row), drawn(other));
    }
    Ok(())
}

fn assert_equal(original: &mut ScreenModel) -> Result<(), TestCaseError> {
    let mut copy = copy_of(original);
    let (grids, copied) = (grid(original), grid(&copy));
    let rows = grids.len().min(copied.len());
    assert_rows(&grids[grids.len() - rows..], &copied[copied.len() - rows..])?;
    let (cursor, other) = (&original.tracker.term.grid().cursor, &copy.tracker.term.grid().cursor);
    prop_assert_eq!(cursor.point, other.point);
    prop_assert_eq!(cursor.input_needs_wrap, other.input_needs_wrap);
    prop_assert_eq!(&cursor.template, &other.template);
    prop_assert_eq!(cursor.charsets, other.charsets);
    prop_assert_eq!(original.tracker.term.mode(), copy.tracker.term.mode());
    let settings = |model: &ScreenModel| {
        let tracker = &model.tracker;
        let colors: Vec<_> = (0..=258).map(|index| tracker.term.colors()[index]).collect();
        (
            tracker.region,
            tracker.tabs.clone(),
            tracker.title.clone(),
            tracker.keyboard.clone(),
            tracker.noted_modes.clone(),
            colors,
            model.cursor_style(),
        )
    };
    prop_assert_eq!(settings(original), settings(&copy));
    // What is not to be seen: the saved cursor, and the other screen.
    for (hidden, alternate) in [("\x1b8", false), ("\x1b[?1049l", original.alternate_screen())] {
        original.process(hidden.as_bytes());
        copy.process(hidden.as_bytes());
        prop_assert_eq!(original.cursor(), copy.cursor());
        prop_assert_eq!(original.attributes(), copy.attributes());
        if alternate {
            prop_assert_eq!(original.lines_above(10_000), copy.lines_above(10_000));
            let rows = usize::from(SIZE.rows);
            let visible = |grid: Vec<Vec<Cell>>| grid[grid.len() - rows..].to_vec();
            assert_rows(&visible(grid(original)), &visible(grid(&copy)))?;
        }
    }
    Ok(())
}

#[test]
fn a_rebuilt_screen_equals_the_original() {
    for stream in [
        "\x1b]2;t\x07\x1b[1;31mred\r\n\x1b[?2004h\x1b[?1hä€ wide 漢字\x1b[3;7H",
        "shell$ vi\r\n\x1b[?1049h\x1b[32mfile\x1b[2;3r\x1b[?6h\x1b[4;3;58;5;9mwaved",
        "\x1b[3g\x1b[1;4H\x1bH\x1b[1;9H\x1bH\x1b(0lqk\x1b(B\x0e\x1b)0\x1b7\x1b[5;5H",
        "12345678901234567890",
        "1234567890123456789漢字 wrapped \x1b[41m   \r\n\x1b[K\r\n\r\n\r\n\r\n\x1b[m\r\nend",
        "\x1b]8;id=a;http://x/\x1b\\link\x1b]8;;\x1b\\ e\u{301}\u{302} \x1b[?25l\x1b[6 q\x1b]11;#102030\x07\x1b[>5u\x1b[>1u",
        "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen",
        "\x1b[?7lno wrap beyond the last column\x1b[4h\x1b[20h\x1b[?1003h\x1b[?1006h\x1b[?5h",
    ] {
        assert_equal(&mut model(stream.as_bytes())).unwrap();
    }
}

#[test]
fn the_primary_screen_survives_below_the_alternate_one() {
    let mut original = model(b"shell$ vi\r\n\x1b[?1049h\x1b[32mfile");
    let mut copy = copy_of(&mut original);
    for model in [&mut copy, &mut original] {
        assert_eq!(model.lines()[0], "");
        model.process(b"\x1b[?1049l$ ");
        assert_eq!(model.lines()[..2], ["shell$ vi", "$"]);
    }
}

#[test]
fn thousands_of_lines_are_kept_and_rebuilt_and_the_oldest_forgotten() {
    let mut original = ScreenModel::new(SIZE, 2000);
    for line in 0..5000 {
        original.process(format!("\x1b[3{}mline {line}\x1b[m and some more of it\r\n", line % 8).as_bytes());
    }
    let above = original.lines_above(10_000);
    assert_eq!(above.len(), original.tracker.older.len() + original.tracker.term.grid().history_size());
    assert!((1900..=2300).contains(&above.len()), "{}", above.len());
    assert_eq!(above.last().unwrap(), "ore of it");
    let mut copy = copy_of(&mut original);
    assert_eq!(copy.lines_above(1000), original.lines_above(1000));
    assert_eq!(copy.lines(), original.lines());
    let few = original.rebuild(10, usize::MAX);
    assert!(few.more_scrollback && few.bytes.len() < 1000);
    let small = original.rebuild(usize::MAX, 5000);
    assert!(small.more_scrollback && (4000..6000).contains(&small.bytes.len()), "{}", small.bytes.len());
    assert!(original.bytes() < 3 << 20);
    original.keep_scrollback(1000);
    assert!(original.tracker.older.bytes() <= 2000);
    copy.process(b"\x1b[3J");
    assert_eq!(copy.lines_above(10), Vec::<String>::new());
}

#[test]
fn what_grows_without_end_elsewhere_does_not_here() {
    let mut model = model(b"e");
    for _ in 0..1000 {
        model.process("\u{301}".as_bytes());
        model.process(b"\x1b[22;0t\x1b[>1u");
    }
    assert_eq!(model.tracker.term.grid()[Line(0)][Column(0)].zerowidth().unwrap().len(), 16);
    assert_eq!(model.tracker.keyboard.len(), 16);
}

/// Pieces that screens are made of.
fn token() -> impl Strategy<Value = Vec<u8>> {
    let sequence = (0..300_u16, 0..25_u16, prop::sample::select(b"@ABCDEFGHIJKLMPSTXZadefmrhl`b".to_vec()))
        .prop_map(|(a, b, end)| format!("\x1b[{};{b}{}", a % 27, char::from(end)).into_bytes());
    let colors = (0..110_u16, 0..256_u16).prop_map(|(a, b)| format!("\x1b[{a}m\x1b[38;5;{b}m").into_bytes());
    let modes = (
        prop::sample::select(vec![
            1_u16, 5, 7, 12, 25, 66, 1000, 1002, 1003, 1004, 1006, 1007, 1049, 2004, 2026, 1015, 47,
        ]),
        any::<bool>(),
    )
        .prop_map(|(mode, set)| format!("\x1b[?{mode}{}", if set { 'h' } else { 'l' }).into_bytes());
    let text = "[ -~]{1,30}".prop_map(String::into_bytes);
    let wide = prop::sample::select(vec!["漢", "字かな", "e\u{301}", "👍🏽", "ä", "│─┘", "\u{200d}"])
        .prop_map(|text| text.as_bytes().to_vec());
    let other = prop::sample::select(vec![
        "\r\n",
        "\r\n",
        "\n",
        "\t",
        "\x08",
        "\r",
        "\x1b7",
        "\x1b8",
        "\x1bM",
        "\x1bD",
        "\x1bE",
        "\x1bH",
        "\x1b[3g",
        "\x1b(0",
        "\x1b(B",
        "\x0e",
        "\x0f",
        "\x1b)0",
        "\x1b[2J",
        "\x1b[J",
        "\x1b[1J",
        "\x1b[K",
        "\x1b[1K",
        "\x1b[H",
        "\x1b[m",
        "\x1b[44m",
        "\x1b[r",
        "\x1b[4:3m\x1b[58;2;1;2;3m",
        "\x1b]0;title\x07",
        "\x1b]8;;http://a/b;c\x1b\\",
        "\x1b]8;;\x07",
        "\x1b]4;7;#123456\x07",
        "\x1b]104\x07",
        "\x1b[5 q",
        "\x1b[>3u",
        "\x1b[<u",
        "\x1b#8",
        "\x1bc",
        "\x1b[3J",
        "a line that is longer than the screen is wide, much longer\r\n",
    ])
    .prop_map(|text| text.as_bytes().to_vec());
    prop_oneof![2 => sequence, 2 => colors, 1 => modes, 3 => text, 2 => wide, 6 => other]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_program_draws_a_snapshot_draws_again(tokens in prop::collection::vec(token(), 0..60)) {
        let mut original = model(&[]);
        for token in &tokens {
            original.process(token);
        }
        assert_equal(&mut original)?;
    }

}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_and_no_sizes_break_the_model(
        pieces in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..200), token(), 2..60_u16, 2..40_u16), 0..20),
    ) {
        let mut model = model(&[]);
        for (bytes, token, cols, rows) in pieces {
            model.process(&bytes);
            model.process(&token);
            model.set_size(Size { cols, rows });
            prop_assert_eq!(model.lines().len(), usize::from(rows));
            let (row, column) = model.cursor();
            prop_assert!(row < rows && column < cols);
            let rebuilt = drawn(&mut model);
            let mut copy = ScreenModel::new(model.size(), 2000);
            copy.process(&rebuilt);
            assert_rows(&grid(&model)[grid(&model).len() - usize::from(rows)..], &grid(&copy)[grid(&copy).len() - usize::from(rows)..])?;
        }
    }
}
