//! Words for a POSIX shell on the other side.

use impresario_adapter::Failure;

use crate::arguments::Text;

/// Adds arguments to a command, each as one word of the remote shell.
pub(super) fn append(command: &mut String, arguments: &[Text]) -> Result<(), Failure> {
    for argument in arguments {
        if argument.0.contains('\0') {
            return Err(Failure::validation("an argument of a command cannot contain the character 0"));
        }
        command.push(' ');
        command.push_str(&word(&argument.0));
    }
    Ok(())
}

/// Nothing has a meaning within single quotes but the quote itself.
fn word(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_argument_is_one_word() {
        let mut command = "echo".to_owned();
        let arguments = ["a b", "", "it's", "$(x)"].map(|text| Text(text.into()));
        append(&mut command, &arguments).unwrap();
        assert_eq!(command, r#"echo 'a b' '' 'it'\''s' '$(x)'"#);
        assert!(append(&mut command, &[Text("a\0b".into())]).is_err());
    }
}
