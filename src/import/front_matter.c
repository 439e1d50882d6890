/* SPDX-License-Identifier: Apache-2.0 */
#include "import/front_matter.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static sqzi_span trim(sqzi_span s)
{
    while (s.n && is_blank(s.bytes[0])) {
        s.bytes++;
        s.n--;
    }
    while (s.n && is_blank(s.bytes[s.n - 1])) s.n--;
    return s;
}

/* Take the next line off `text`, without its end; false at the end. */
static bool next_line(sqzi_span *text, sqzi_span *line)
{
    if (text->n == 0) return false;
    const char *end = memchr(text->bytes, '\n', text->n);
    line->bytes = text->bytes;
    line->n = end ? (size_t)(end - text->bytes) : text->n;
    const size_t taken = line->n + (end ? 1 : 0);
    text->bytes += taken;
    text->n -= taken;
    while (line->n && line->bytes[line->n - 1] == '\r') line->n--;
    return true;
}

sqzi_span sqzi_front_matter(sqzi_span card, sqzi_span *rest)
{
    sqzi_span line, text = card;
    if (text.n >= 3 && memcmp(text.bytes, "\xef\xbb\xbf", 3) == 0) {
        text.bytes += 3;
        text.n -= 3;
    }
    *rest = text;
    /* blank lines may come first, as on the Hub */
    do
        if (!next_line(&text, &line)) return (sqzi_span){"", 0};
    while (trim(line).n == 0);
    if (!sqzi_span_is(trim(line), "---")) return (sqzi_span){"", 0};
    const char *begin = text.bytes;
    while (next_line(&text, &line))
        if (sqzi_span_is(trim(line), "---")) {
            *rest = text;
            return (sqzi_span){begin, (size_t)(line.bytes - begin)};
        }
    return (sqzi_span){"", 0}; /* it does not end: a ruler, not front matter */
}

/* A value without its quotes or its comment; empty for null. */
static sqzi_span scalar(sqzi_span s)
{
    s = trim(s);
    if (s.n >= 2 && (s.bytes[0] == '"' || s.bytes[0] == '\'')) {
        const char *end = memchr(s.bytes + 1, s.bytes[0], s.n - 1);
        return end ? (sqzi_span){s.bytes + 1, (size_t)(end - s.bytes - 1)} : (sqzi_span){"", 0};
    }
    for (size_t i = 0; i < s.n; i++)
        if (s.bytes[i] == '#' && (i == 0 || is_blank(s.bytes[i - 1]))) s.n = i;
    s = trim(s);
    return sqzi_span_is(s, "null") || sqzi_span_is(s, "~") ? (sqzi_span){"", 0} : s;
}

typedef struct values {
    sqzi_span *at;
    size_t n, most;
} values;

static void add(values *v, sqzi_span value)
{
    value = scalar(value);
    if (value.n && v->n < v->most) v->at[v->n++] = value;
}

/* "[a, b]", with what may stand behind it. */
static void add_list(values *v, sqzi_span list)
{
    const char *close = memchr(list.bytes, ']', list.n);
    if (close) list.n = (size_t)(close - list.bytes);
    list.bytes++;
    list.n -= list.n ? 1 : 0;
    while (list.n) {
        const char *comma = memchr(list.bytes, ',', list.n);
        const size_t n = comma ? (size_t)(comma - list.bytes) : list.n;
        add(v, (sqzi_span){list.bytes, n});
        list.bytes += n + (comma ? 1 : 0);
        list.n -= n + (comma ? 1 : 0);
    }
}

/* Lines "- value" until one that is neither such nor empty. */
static void add_lines(values *v, sqzi_span text)
{
    sqzi_span line;
    while (next_line(&text, &line)) {
        line = trim(line);
        if (line.n == 0 || line.bytes[0] == '#') continue;
        if (line.bytes[0] != '-' || (line.n > 1 && !is_blank(line.bytes[1]))) return;
        add(v, (sqzi_span){line.bytes + 1, line.n - 1});
    }
}

size_t sqzi_front_values(sqzi_span matter, const char *key, sqzi_span *out, size_t most)
{
    const size_t n = strlen(key);
    values v = {out, 0, most};
    sqzi_span line;
    while (next_line(&matter, &line)) {
        if (line.n <= n || memcmp(line.bytes, key, n) != 0 || line.bytes[n] != ':') continue;
        const sqzi_span value = trim((sqzi_span){line.bytes + n + 1, line.n - n - 1});
        if (value.n && value.bytes[0] == '[') add_list(&v, value);
        else if (value.n && value.bytes[0] != '|' && value.bytes[0] != '>' && value.bytes[0] != '{')
            add(&v, value);
        if (scalar(value).n == 0) add_lines(&v, matter);
        break;
    }
    return v.n;
}

bool sqzi_card_title(sqzi_span rest, sqzi_span *title)
{
    sqzi_span line;
    bool code = false;
    while (next_line(&rest, &line)) {
        if (line.n >= 3 && (memcmp(line.bytes, "```", 3) == 0 || memcmp(line.bytes, "~~~", 3) == 0))
            code = !code;
        if (code || line.n < 2 || line.bytes[0] != '#' || !is_blank(line.bytes[1])) continue;
        *title = trim((sqzi_span){line.bytes + 1, line.n - 1});
        while (title->n && title->bytes[title->n - 1] == '#') title->n--;
        *title = trim(*title);
        return title->n > 0;
    }
    return false;
}
