//! The lines that `ipvsadm -R` reads: words between blanks, without quotes and without comments.

/// The command lines of a text. The word `ipvsadm` is passed over wherever it stands, and so are empty lines.
pub fn lines(text: &str) -> impl Iterator<Item = Vec<String>> {
    let words = |line: &str| -> Vec<String> {
        let words = line.split([' ', '\t', '\r']);
        words.filter(|word| !word.is_empty() && *word != "ipvsadm").map(String::from).collect()
    };
    text.split('\n').map(words).filter(|words| !words.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_its_words_without_the_programs_name() {
        let text = "ipvsadm -C\n\n \t\r\n-A\t-t  10.0.0.1:80\r\n-Z ipvsadm\nipvsadm\n-D";
        let lines: Vec<_> = lines(text).map(|words| words.join("|")).collect();
        assert_eq!(lines, ["-C", "-A|-t|10.0.0.1:80", "-Z", "-D"]);
    }
}
