"""Forge signed texts: always different from the original."""


def replace_char(text: str, index: int) -> str:
    """Replace the character at `index` by another one of base64url and base32."""
    other = "B" if text[index] == "A" else "A"
    index %= len(text)
    return text[:index] + other + text[index + 1 :]
