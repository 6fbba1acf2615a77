// The document's language, which Streamlit fixes at English, and names that its own elements lack.
export default function ({ data }) {
  document.documentElement.lang = data.language;
}
