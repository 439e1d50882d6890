/* SPDX-License-Identifier: Apache-2.0 */
/* The opcodes of the pickle machine and what its functions build. */
#include "base/error.h"
#include "import/pickle.h"
#include "import/pickle_values.h"

typedef enum callable { G_ORDERED_DICT, G_REBUILD_TENSOR, G_REBUILD_PARAMETER, G_STORAGE } callable;

static sqz_status read_bytes(sqzi_pickle_machine *m, size_t n, const unsigned char **out)
{
    if (n > m->bytes - m->at) return sqzi_pickle_refuse(m, SQZ_EFORMAT, "ends too early");
    *out = m->data + m->at;
    m->at += n;
    return SQZ_OK;
}

/* A little-endian number of n <= 8 bytes, sign extended where asked. */
static sqz_status read_number(sqzi_pickle_machine *m, size_t n, bool is_signed, int64_t *out)
{
    const unsigned char *b = NULL;
    const sqz_status status = read_bytes(m, n, &b);
    uint64_t value = 0;
    if (status != SQZ_OK) return status;
    for (size_t i = n; i-- > 0;) value = value << 8 | b[i];
    if (is_signed && n > 0 && n < 8 && b[n - 1] & 0x80) value |= UINT64_MAX << (8 * n);
    *out = (int64_t)value;
    return SQZ_OK;
}

static sqz_status push_text(sqzi_pickle_machine *m, size_t length_bytes)
{
    int64_t n = 0;
    const unsigned char *b = NULL;
    sqz_status status = read_number(m, length_bytes, false, &n);
    if (status == SQZ_OK)
        status = n < 0 ? sqzi_pickle_refuse(m, SQZ_EFORMAT, "holds a string of no length")
                       : read_bytes(m, (size_t)n, &b);
    return status == SQZ_OK
               ? sqzi_pickle_push_new(m, (sqzi_pickle_node){.kind = SQZI_K_TEXT,
                                                            .text = {(const char *)b, (size_t)n}})
               : status;
}

static sqz_status push_int(sqzi_pickle_machine *m, size_t n, bool is_signed)
{
    int64_t number = 0;
    const sqz_status status = read_number(m, n, is_signed, &number);
    return status == SQZ_OK ? sqzi_pickle_push_new(m, (sqzi_pickle_node){.kind = SQZI_K_NUMBER,
                                                                         .number = number})
                            : status;
}

static sqz_status read_line(sqzi_pickle_machine *m, sqzi_span *line)
{
    const unsigned char *end = m->at < m->bytes ? memchr(m->data + m->at, '\n', m->bytes - m->at)
                                                : NULL;
    if (!end) return sqzi_pickle_refuse(m, SQZ_EFORMAT, "ends too early");
    *line = (sqzi_span){(const char *)m->data + m->at, (size_t)(end - m->data) - m->at};
    m->at = (size_t)(end - m->data) + 1;
    return SQZ_OK;
}

static sqz_status push_global(sqzi_pickle_machine *m, sqzi_span module, sqzi_span name)
{
    static const char storage[] = "Storage";
    const size_t tail = sizeof storage - 1;
    const bool torch = sqzi_span_is(module, "torch"), utils = sqzi_span_is(module, "torch._utils");
    int64_t found = -1;
    if (sqzi_span_is(module, "collections") && sqzi_span_is(name, "OrderedDict"))
        found = G_ORDERED_DICT;
    else if (utils && sqzi_span_is(name, "_rebuild_tensor_v2")) found = G_REBUILD_TENSOR;
    else if (utils && sqzi_span_is(name, "_rebuild_parameter")) found = G_REBUILD_PARAMETER;
    else if (torch && name.n > tail && memcmp(name.bytes + name.n - tail, storage, tail) == 0)
        found = G_STORAGE;
    if (found < 0)
        return sqzi_fail(m->error, SQZ_EUNSUPPORTED, m->at,
                         "%s: the pickle wants '%.*s.%.*s', which a state dict does not need: it "
                         "is not executed",
                         m->file, (int)(module.n > 80 ? 80 : module.n), module.bytes,
                         (int)(name.n > 80 ? 80 : name.n), name.bytes);
    return sqzi_pickle_push_new(
        m, (sqzi_pickle_node){.kind = SQZI_K_GLOBAL, .number = found, .text = name});
}

/* Values above the mark go into the container below it. */
static sqz_status fill(sqzi_pickle_machine *m, sqzi_pickle_kind wanted)
{
    uint32_t mark = 0;
    sqz_status status = sqzi_pickle_find_mark(m, &mark);
    if (status != SQZ_OK) return status;
    if (mark == 0 || m->nodes[m->stack[mark - 1]].kind != (uint32_t)wanted ||
        (wanted == SQZI_K_DICT && (m->n_stack - mark - 1) % 2))
        return sqzi_pickle_refuse(m, SQZ_EFORMAT, "fills what is no container");
    const uint32_t container = m->stack[mark - 1];
    for (uint32_t i = mark + 1; i < m->n_stack && status == SQZ_OK; i++)
        status = sqzi_pickle_append(m, container, m->stack[i]);
    m->n_stack = mark;
    return status;
}

/* One value (list) or two (dict) into the container below them. */
static sqz_status fill_one(sqzi_pickle_machine *m, sqzi_pickle_kind wanted)
{
    const uint32_t n = wanted == SQZI_K_DICT ? 2 : 1;
    if (m->n_stack < n + 1 || m->nodes[m->stack[m->n_stack - n - 1]].kind != (uint32_t)wanted)
        return sqzi_pickle_refuse(m, SQZ_EFORMAT, "fills what is no container");
    const uint32_t container = m->stack[m->n_stack - n - 1];
    sqz_status status = SQZ_OK;
    for (uint32_t i = m->n_stack - n; i < m->n_stack && status == SQZ_OK; i++)
        status = sqzi_pickle_append(m, container, m->stack[i]);
    m->n_stack -= n;
    return status;
}

/* ('storage', type, key, location, size[, view]) */
static sqz_status load_storage(sqzi_pickle_machine *m)
{
    uint32_t tuple = 0, part[6];
    const sqz_status status = sqzi_pickle_pop(m, &tuple);
    if (status != SQZ_OK) return status;
    const uint32_t n = sqzi_pickle_items(m, tuple, part, 6);
    const bool fits = n >= 5 && n <= 6 && m->nodes[part[0]].kind == SQZI_K_TEXT &&
                      sqzi_span_is(m->nodes[part[0]].text, "storage") &&
                      m->nodes[part[1]].kind == SQZI_K_GLOBAL &&
                      m->nodes[part[1]].number == G_STORAGE &&
                      m->nodes[part[2]].kind == SQZI_K_TEXT &&
                      m->nodes[part[4]].kind == SQZI_K_NUMBER;
    if (!fits || (n == 6 && m->nodes[part[5]].kind != SQZI_K_NONE))
        return sqzi_pickle_refuse(m, SQZ_EUNSUPPORTED,
                                  "names a storage in a way that is not known");
    return sqzi_pickle_push_new(m, (sqzi_pickle_node){.kind = SQZI_K_STORAGE,
                                                      .text = m->nodes[part[1]].text,
                                                      .first = part[2],
                                                      .number = m->nodes[part[4]].number});
}

static sqz_status call(sqzi_pickle_machine *m)
{
    uint32_t arguments = 0, function = 0, part[8];
    sqz_status status = sqzi_pickle_pop(m, &arguments);
    if (status == SQZ_OK) status = sqzi_pickle_pop(m, &function);
    if (status != SQZ_OK) return status;
    const uint32_t n = sqzi_pickle_items(m, arguments, part, 8);
    if (m->nodes[function].kind != SQZI_K_GLOBAL || n > 8)
        return sqzi_pickle_refuse(m, SQZ_EFORMAT, "calls what is no function");
    switch (m->nodes[function].number) {
    case G_ORDERED_DICT:
        if (n == 0)
            return sqzi_pickle_push_new(m, (sqzi_pickle_node){.kind = SQZI_K_DICT,
                                                              .first = SQZI_PICKLE_NOTHING,
                                                              .last = SQZI_PICKLE_NOTHING});
        break;
    case G_REBUILD_TENSOR:
        if (n >= 4 && m->nodes[part[0]].kind == SQZI_K_STORAGE &&
            m->nodes[part[1]].kind == SQZI_K_NUMBER)
            return sqzi_pickle_push_new(m, (sqzi_pickle_node){.kind = SQZI_K_TENSOR,
                                                              .first = arguments});
        break;
    case G_REBUILD_PARAMETER:
        if (n >= 1 && m->nodes[part[0]].kind == SQZI_K_TENSOR) return sqzi_pickle_push(m, part[0]);
        break;
    default: break;
    }
    return sqzi_pickle_refuse(m, SQZ_EUNSUPPORTED,
                              "calls a function with arguments that are not known");
}

/* The attributes of a dict (its _metadata) are of no interest; nothing else has any. */
static sqz_status build(sqzi_pickle_machine *m)
{
    uint32_t state = 0;
    const sqz_status status = sqzi_pickle_pop(m, &state);
    if (status != SQZ_OK) return status;
    if (m->n_stack == 0 || m->nodes[m->stack[m->n_stack - 1]].kind != SQZI_K_DICT)
        return sqzi_pickle_refuse(m, SQZ_EUNSUPPORTED, "sets attributes of an object");
    return SQZ_OK;
}

static sqz_status remember(sqzi_pickle_machine *m, int64_t place)
{
    if (place < 0 || place >= SQZI_PICKLE_MEMO || m->n_stack == 0)
        return sqzi_pickle_refuse(m, SQZ_ELIMIT, "remembers a value in a place that is not there");
    while (m->n_memo <= (uint32_t)place) m->memo[m->n_memo++] = SQZI_PICKLE_NOTHING;
    m->memo[place] = m->stack[m->n_stack - 1];
    return SQZ_OK;
}

static sqz_status remember_at(sqzi_pickle_machine *m, size_t n)
{
    int64_t place = 0;
    const sqz_status status = read_number(m, n, false, &place);
    return status == SQZ_OK ? remember(m, place) : status;
}

static sqz_status recall(sqzi_pickle_machine *m, size_t n)
{
    int64_t place = 0;
    const sqz_status status = read_number(m, n, false, &place);
    if (status != SQZ_OK) return status;
    if (place < 0 || place >= (int64_t)m->n_memo || m->memo[place] == SQZI_PICKLE_NOTHING)
        return sqzi_pickle_refuse(m, SQZ_EFORMAT, "recalls a value that it has not seen");
    return sqzi_pickle_push(m, m->memo[place]);
}

static sqz_status read_long(sqzi_pickle_machine *m)
{
    int64_t n = 0;
    sqz_status status = read_number(m, 1, false, &n);
    const unsigned char *unused;
    if (status != SQZ_OK) return status;
    if (n <= 8) return push_int(m, (size_t)n, true);
    /* the magic number of legacy files; no size is that large */
    status = read_bytes(m, (size_t)n, &unused);
    return status == SQZ_OK ? sqzi_pickle_push_new(m, (sqzi_pickle_node){.kind = SQZI_K_NONE})
                            : status;
}

static sqz_status step_global(sqzi_pickle_machine *m, unsigned char opcode)
{
    sqzi_span module, name;
    uint32_t a = 0, b = 0;
    sqz_status status;
    if (opcode == 'c') {
        status = read_line(m, &module);
        if (status == SQZ_OK) status = read_line(m, &name);
        return status == SQZ_OK ? push_global(m, module, name) : status;
    }
    status = sqzi_pickle_pop(m, &a);
    if (status == SQZ_OK) status = sqzi_pickle_pop(m, &b);
    if (status != SQZ_OK) return status;
    if (m->nodes[a].kind != SQZI_K_TEXT || m->nodes[b].kind != SQZI_K_TEXT)
        return sqzi_pickle_refuse(m, SQZ_EFORMAT, "names a global by what is no string");
    return push_global(m, m->nodes[b].text, m->nodes[a].text);
}

static sqz_status step(sqzi_pickle_machine *m, unsigned char opcode)
{
    uint32_t index = 0;
    const unsigned char *unused;
    sqz_status status;
    switch (opcode) {
    case 0x80: return read_bytes(m, 1, &unused);                             /* PROTO */
    case 0x95: return read_bytes(m, 8, &unused);                             /* FRAME */
    case '(': return sqzi_pickle_push_new(m, (sqzi_pickle_node){.kind = SQZI_K_MARK});
    case '}':
        return sqzi_pickle_push_new(m, (sqzi_pickle_node){.kind = SQZI_K_DICT,
                                                          .first = SQZI_PICKLE_NOTHING,
                                                          .last = SQZI_PICKLE_NOTHING});
    case ']':
    case ')':
        return sqzi_pickle_push_new(m, (sqzi_pickle_node){.kind = SQZI_K_LIST,
                                                          .first = SQZI_PICKLE_NOTHING,
                                                          .last = SQZI_PICKLE_NOTHING});
    case 'N': return sqzi_pickle_push_new(m, (sqzi_pickle_node){.kind = SQZI_K_NONE});
    /* NEWTRUE */
    case 0x88:
        return sqzi_pickle_push_new(m, (sqzi_pickle_node){.kind = SQZI_K_NUMBER, .number = 1});
    /* NEWFALSE */
    case 0x89:
        return sqzi_pickle_push_new(m, (sqzi_pickle_node){.kind = SQZI_K_NUMBER, .number = 0});
    /* BINFLOAT: no float is of interest */
    case 'G':
        status = read_bytes(m, 8, &unused);
        return status == SQZ_OK ? sqzi_pickle_push_new(m, (sqzi_pickle_node){.kind = SQZI_K_NONE})
                                : status;
    case 'J': return push_int(m, 4, true);
    case 'K': return push_int(m, 1, false);
    case 'M': return push_int(m, 2, false);
    case 0x8a: return read_long(m);
    case 'X': case 'T': return push_text(m, 4);
    case 'U': case 0x8c: return push_text(m, 1);
    case 'q': return remember_at(m, 1);
    case 'r': return remember_at(m, 4);
    case 0x94: return remember(m, m->n_memo);
    case 'h': return recall(m, 1);
    case 'j': return recall(m, 4);
    case 'c': case 0x93: return step_global(m, opcode);
    case 't':
        status = sqzi_pickle_find_mark(m, &index);
        return status == SQZ_OK ? sqzi_pickle_make_list(m, index + 1, index) : status;
    case 0x85: case 0x86: case 0x87: return sqzi_pickle_make_tuple(m, opcode - 0x84u);
    case 'u': return fill(m, SQZI_K_DICT);
    case 's': return fill_one(m, SQZI_K_DICT);
    case 'e': return fill(m, SQZI_K_LIST);
    case 'a': return fill_one(m, SQZI_K_LIST);
    case 'Q': return load_storage(m);
    case 'R': return call(m);
    case 'b': return build(m);
    case '0': return sqzi_pickle_pop(m, &index);
    default:
        return sqzi_fail(m->error, SQZ_EUNSUPPORTED, m->at - 1,
                         "%s: the pickle uses the opcode 0x%02x, which a state dict does not need",
                         m->file, opcode);
    }
}

static sqz_status describe(const sqzi_pickle_machine *m, uint32_t index, sqzi_pickled_tensor *t)
{
    uint32_t part[8], sizes[SQZI_PICKLE_DIMS], strides[SQZI_PICKLE_DIMS];
    (void)sqzi_pickle_items(m, m->nodes[index].first, part, 8);
    const sqzi_pickle_node *storage = &m->nodes[part[0]];
    *t = (sqzi_pickled_tensor){.storage_type = storage->text,
                               .key = m->nodes[storage->first].text,
                               .storage_n = storage->number,
                               .offset = m->nodes[part[1]].number};
    t->n_dims = sqzi_pickle_items(m, part[2], sizes, SQZI_PICKLE_DIMS);
    t->n_strides = sqzi_pickle_items(m, part[3], strides, SQZI_PICKLE_DIMS);
    if (t->n_dims > SQZI_PICKLE_DIMS || t->n_strides != t->n_dims)
        return sqzi_pickle_refuse(m, SQZ_EFORMAT,
                                  "holds a tensor whose size and strides do not fit each other");
    for (uint32_t d = 0; d < t->n_dims; d++) {
        if (m->nodes[sizes[d]].kind != SQZI_K_NUMBER || m->nodes[strides[d]].kind != SQZI_K_NUMBER)
            return sqzi_pickle_refuse(m, SQZ_EFORMAT, "holds a tensor whose sizes are no numbers");
        t->shape[d] = m->nodes[sizes[d]].number;
        t->stride[d] = m->nodes[strides[d]].number;
    }
    return SQZ_OK;
}

static bool holds_tensor(const sqzi_pickle_machine *m, uint32_t dict)
{
    for (uint32_t cell = m->nodes[dict].first; cell != SQZI_PICKLE_NOTHING;) {
        const uint32_t value = m->nodes[cell].last;
        if (m->nodes[m->nodes[value].first].kind == SQZI_K_TENSOR) return true;
        cell = m->nodes[value].last;
    }
    return false;
}

/* The state dict: the dict itself, or what a training loop keeps beside an epoch and an optimizer:
 * the value of "state_dict" or "model_state_dict", or the only dict of tensors. */
static uint32_t find_state(const sqzi_pickle_machine *m, uint32_t top)
{
    uint32_t found = top, n = 0;
    if (holds_tensor(m, top)) return top;
    for (uint32_t cell = m->nodes[top].first; cell != SQZI_PICKLE_NOTHING;) {
        const sqzi_pickle_node *key = &m->nodes[m->nodes[cell].first];
        const uint32_t next = m->nodes[cell].last, value = m->nodes[next].first;
        cell = m->nodes[next].last;
        if (m->nodes[value].kind != SQZI_K_DICT || !holds_tensor(m, value)) continue;
        found = value;
        n++;
        if (key->kind == SQZI_K_TEXT && (sqzi_span_is(key->text, "state_dict") ||
                                         sqzi_span_is(key->text, "model_state_dict")))
            return found;
    }
    return n == 1 ? found : top;
}

static sqz_status hand_out(const sqzi_pickle_machine *m, uint32_t top, const sqzi_pickle_sink *sink)
{
    sqz_status status = SQZ_OK;
    if (sink->put_key && m->nodes[top].kind == SQZI_K_LIST) {
        for (uint32_t cell = m->nodes[top].first; cell != SQZI_PICKLE_NOTHING && status == SQZ_OK;
             cell = m->nodes[cell].last) {
            const sqzi_pickle_node *key = &m->nodes[m->nodes[cell].first];
            status = key->kind == SQZI_K_TEXT
                         ? sink->put_key(sink->user, key->text, m->error)
                         : sqzi_pickle_refuse(m, SQZ_EFORMAT, "lists a storage that has no key");
        }
        return status;
    }
    if (!sink->put) return SQZ_OK; /* a part of a legacy file that is only passed over */
    if (m->nodes[top].kind != SQZI_K_DICT)
        return sqzi_pickle_refuse(m, SQZ_EUNSUPPORTED,
                                  "is no state dict: it leaves something else than a dict");
    top = find_state(m, top);
    for (uint32_t cell = m->nodes[top].first; cell != SQZI_PICKLE_NOTHING && status == SQZ_OK;) {
        const uint32_t key = m->nodes[cell].first, next = m->nodes[cell].last,
                       value = m->nodes[next].first;
        cell = m->nodes[next].last;
        if (m->nodes[value].kind != SQZI_K_TENSOR || m->nodes[key].kind != SQZI_K_TEXT) continue;
        sqzi_pickled_tensor tensor;
        status = describe(m, value, &tensor);
        tensor.name = m->nodes[key].text;
        if (status == SQZ_OK) status = sink->put(sink->user, &tensor, m->error);
    }
    return status;
}

sqz_status sqzi_pickle_run(const sqz_allocator *allocator, const char *file,
                           const unsigned char *data, size_t bytes, const sqzi_pickle_sink *sink,
                           size_t *used, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    uint32_t top = 0;
    sqzi_pickle_machine m = {.file = file, .data = data, .bytes = bytes, .error = error};
    m.nodes = sqzi_allocate(allocator, SQZI_PICKLE_NODES * sizeof *m.nodes);
    m.stack = sqzi_allocate(allocator, SQZI_PICKLE_STACK * sizeof *m.stack);
    m.memo = sqzi_allocate(allocator, SQZI_PICKLE_MEMO * sizeof *m.memo);
    FAIL_IF(!m.nodes || !m.stack || !m.memo, SQZ_ENOMEM, 0, "no memory to read a pickle");
    for (;;) {
        const unsigned char *opcode = NULL;
        TRY(read_bytes(&m, 1, &opcode));
        if (*opcode == '.') break;
        TRY(step(&m, *opcode));
    }
    TRY(sqzi_pickle_pop(&m, &top));
    TRY(hand_out(&m, top, sink));
    *used = m.at;
fail:
    if (m.nodes) sqzi_release(allocator, m.nodes, SQZI_PICKLE_NODES * sizeof *m.nodes);
    if (m.stack) sqzi_release(allocator, m.stack, SQZI_PICKLE_STACK * sizeof *m.stack);
    if (m.memo) sqzi_release(allocator, m.memo, SQZI_PICKLE_MEMO * sizeof *m.memo);
    return status;
}
