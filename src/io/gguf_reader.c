/* SPDX-License-Identifier: Apache-2.0 */
/* Reading GGUF v3 from a mapping. Every number of the file is checked here once, before anybody
 * acts on it. */
#include "base/error.h"
#include "io/gguf.h"

#include <inttypes.h>

enum {
    MAX_HEADER_BYTES = 256 << 20,
    MAX_VALUES = 65536,
    MAX_ITEMS = 1 << 24,
    MAX_TENSORS = 65536,
    MAX_DIMS = 4,
    MAX_NAME_BYTES = 63,
    MAX_KEY_BYTES = 255,
    MAX_STRING_BYTES = 16 << 20,
    ALIGNMENT = 64
};

struct sqzi_gguf {
    sqz_allocator allocator;
    sqzi_gguf_value *values;
    sqzi_gguf_tensor *tensors;
    uint32_t *value_slots, *tensor_slots; /* open addressing by name, index + 1, 0 = free */
    uint32_t n_values, n_tensors, n_value_slots, n_tensor_slots;
    uint64_t data_begin; /* a multiple of 64, which a file without tensors may not reach */
};

/* Where the reader stands. `end` is where the header may end at most. */
typedef struct cursor {
    const char *file;
    const unsigned char *begin, *at, *end;
    size_t file_bytes;
} cursor;

static uint64_t place(const cursor *c)
{
    return (uint64_t)(c->at - c->begin);
}

static sqz_status cut_short(const cursor *c, uint64_t bytes, const char *what, sqz_error *error)
{
    if ((size_t)(c->end - c->begin) < c->file_bytes)
        return sqzi_fail(error, SQZ_ELIMIT, place(c),
                         "%s: %s at byte %" PRIu64 " goes past the %d MiB that a header may have",
                         c->file, what, place(c), MAX_HEADER_BYTES >> 20);
    return sqzi_fail(error, SQZ_EFORMAT, place(c),
                     "%s: %s at byte %" PRIu64 " needs %" PRIu64
                     " bytes, the file has %zu: it was cut short; copy it again",
                     c->file, what, place(c), bytes, c->file_bytes);
}

static sqz_status skip(cursor *c, uint64_t bytes, const char *what, sqz_error *error)
{
    if (bytes > (uint64_t)(c->end - c->at)) return cut_short(c, bytes, what, error);
    c->at += bytes;
    return SQZ_OK;
}

static uint64_t load_uint(const unsigned char *p, size_t bytes)
{
    uint64_t x = 0;
    for (size_t i = 0; i < bytes; i++) x |= (uint64_t)p[i] << (8 * i);
    return x;
}

static sqz_status read_uint(cursor *c, size_t bytes, const char *what, uint64_t *x,
                            sqz_error *error)
{
    const unsigned char *from = c->at;
    const sqz_status status = skip(c, bytes, what, error);
    if (status == SQZ_OK) *x = load_uint(from, bytes);
    return status;
}

static sqz_status read_string(cursor *c, uint64_t limit, const char *what, sqzi_span *string,
                              sqz_error *error)
{
    sqz_status status = SQZ_OK;
    uint64_t n = 0;
    TRY(read_uint(c, 8, what, &n, error));
    FAIL_IF(n > limit, SQZ_ELIMIT, place(c) - 8,
            "%s: %s at byte %" PRIu64 " has %" PRIu64 " bytes, at most %" PRIu64 " are allowed",
            c->file, what, place(c) - 8, n, limit);
    *string = (sqzi_span){(const char *)c->at, (size_t)n};
    TRY(skip(c, n, what, error));
fail:
    return status;
}

/* Bytes of a scalar, 0 for strings, arrays and numbers that are no type. */
static size_t scalar_bytes(uint64_t type)
{
    static const unsigned char bytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    return type < sizeof bytes ? bytes[type] : 0;
}

static uint32_t hash(sqzi_span name)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < name.n; i++) h = (h ^ (unsigned char)name.bytes[i]) * 16777619u;
    return h;
}

static bool same(sqzi_span a, sqzi_span b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.bytes, b.bytes, a.n) == 0);
}

/* Slot of a name: of its entry, or the free one where it would go. `names` is the first entry's
 * name, entries `stride` bytes apart. */
static uint32_t *find_slot(uint32_t *slots, uint32_t n_slots, const sqzi_span *names, size_t stride,
                           sqzi_span name)
{
    for (uint32_t i = hash(name);; i++) {
        uint32_t *slot = &slots[i & (n_slots - 1)];
        if (*slot == 0) return slot;
        const sqzi_span *entry = (const sqzi_span *)(const void *)((const char *)names +
                                                                   (size_t)(*slot - 1) * stride);
        if (same(*entry, name)) return slot;
    }
}

/* Names made to share a slot would cost their number squared; by chance none of 65,536 is this far
 * from its place. */
static bool is_crowded(const uint32_t *slots, uint32_t n_slots, const uint32_t *slot,
                       sqzi_span name)
{
    enum { FAR = 1024 };
    return (((uint32_t)(slot - slots) - hash(name)) & (n_slots - 1)) > FAR;
}

static bool name_is_clean(sqzi_span name)
{
    for (size_t i = 0; i < name.n; i++)
        if ((unsigned char)name.bytes[i] < 0x21 || (unsigned char)name.bytes[i] > 0x7E)
            return false;
    return name.n > 0;
}

static sqz_status skip_strings(cursor *c, uint64_t n, sqz_error *error)
{
    sqzi_span ignored;
    for (uint64_t i = 0; i < n; i++) {
        const sqz_status status = read_string(c, MAX_STRING_BYTES, "a string of metadata", &ignored,
                                              error);
        if (status != SQZ_OK) return status;
    }
    return SQZ_OK;
}

static sqz_status read_value(cursor *c, sqzi_gguf_value *value, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    uint64_t type = 0;
    TRY(read_string(c, MAX_KEY_BYTES, "a metadata key", &value->key, error));
    const int shown = (int)value->key.n;
    FAIL_IF(!name_is_clean(value->key), SQZ_EFORMAT, place(c) - value->key.n,
            "%s: the metadata key at byte %" PRIu64 " is empty or holds other than printable ASCII",
            c->file, place(c) - value->key.n);
    TRY(read_uint(c, 4, "a metadata type", &type, error));
    value->n = 1;
    value->is_array = type == SQZI_GGUF_ARRAY;
    if (value->is_array) {
        TRY(read_uint(c, 4, "an array's type", &type, error));
        TRY(read_uint(c, 8, "an array's length", &value->n, error));
        FAIL_IF(value->n > MAX_ITEMS, SQZ_ELIMIT, place(c) - 8,
                "%s: metadata '%.*s' has %" PRIu64 " items, at most %d are allowed", c->file, shown,
                value->key.bytes, value->n, MAX_ITEMS);
    }
    FAIL_IF(type != SQZI_GGUF_STRING && scalar_bytes(type) == 0, SQZ_EFORMAT, place(c),
            "%s: metadata '%.*s' at byte %" PRIu64 " has the unknown type %" PRIu64, c->file, shown,
            value->key.bytes, place(c), type);
    value->type = (sqzi_gguf_type)type;
    value->data = c->at;
    value->offset = place(c);
    if (type == SQZI_GGUF_STRING)
        TRY(skip_strings(c, value->n, error));
    else
        TRY(skip(c, value->n * scalar_bytes(type), "a metadata value", error));
fail:
    return status;
}

static sqz_status read_values(cursor *c, sqzi_gguf *gguf, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    for (uint32_t i = 0; i < gguf->n_values; i++) {
        sqzi_gguf_value *value = &gguf->values[i];
        TRY(read_value(c, value, error));
        uint32_t *slot = find_slot(gguf->value_slots, gguf->n_value_slots, &gguf->values->key,
                                   sizeof *value, value->key);
        FAIL_IF(*slot, SQZ_EFORMAT, value->offset,
                "%s: the metadata key '%.*s' comes twice, the second time at byte %" PRIu64,
                c->file, (int)value->key.n, value->key.bytes, value->offset);
        FAIL_IF(is_crowded(gguf->value_slots, gguf->n_value_slots, slot, value->key), SQZ_ELIMIT,
                value->offset, "%s: metadata keys made to collide", c->file);
        *slot = i + 1;
    }
fail:
    return status;
}

/* GGML's number of a tensor type to ours; bytes of one number, 0 for a type that we do not read. */
static size_t tensor_type(uint64_t number, sqzi_type *type)
{
    switch (number) {
    case 0: *type = SQZI_F32; return 4;
    case 1: *type = SQZI_F16; return 2;
    case 24: *type = SQZI_S8; return 1;
    case 26: *type = SQZI_I32; return 4;
    case 30: *type = SQZI_BF16; return 2;
    default: return 0;
    }
}

static sqz_status read_shape(cursor *c, sqzi_gguf_tensor *tensor, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    uint64_t n_dims = 0;
    const int shown = (int)tensor->name.n;
    TRY(read_uint(c, 4, "a tensor's dimensions", &n_dims, error));
    FAIL_IF(n_dims < 1 || n_dims > MAX_DIMS, SQZ_EFORMAT, place(c) - 4,
            "%s: tensor '%.*s' has %" PRIu64 " dimensions, 1 to 4 are allowed", c->file, shown,
            tensor->name.bytes, n_dims);
    tensor->n_dims = (uint32_t)n_dims;
    tensor->n = 1;
    for (uint32_t i = 0; i < MAX_DIMS; i++) tensor->shape[i] = 1;
    for (uint32_t i = 0; i < tensor->n_dims; i++) {
        uint64_t size = 0;
        TRY(read_uint(c, 8, "a tensor's shape", &size, error));
        FAIL_IF(size == 0 || size > INT64_MAX / 8 / tensor->n, SQZ_EFORMAT, place(c) - 8,
                "%s: tensor '%.*s' has %" PRIu64
                " as its %u. size: none may be 0 and their product must fit 2^60",
                c->file, shown, tensor->name.bytes, size, (unsigned)i + 1);
        tensor->n *= size;
        tensor->shape[tensor->n_dims - 1 - i] = size;
    }
fail:
    return status;
}

static sqz_status read_tensor(cursor *c, sqzi_gguf_tensor *tensor, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    uint64_t number = 0;
    TRY(read_string(c, MAX_NAME_BYTES, "a tensor's name", &tensor->name, error));
    FAIL_IF(!name_is_clean(tensor->name), SQZ_EFORMAT, place(c) - tensor->name.n,
            "%s: the tensor name at byte %" PRIu64 " is empty or holds other than printable ASCII",
            c->file, place(c) - tensor->name.n);
    TRY(read_shape(c, tensor, error));
    TRY(read_uint(c, 4, "a tensor's type", &number, error));
    const size_t bytes = tensor_type(number, &tensor->type);
    FAIL_IF(bytes == 0, SQZ_EUNSUPPORTED, place(c) - 4,
            "%s: tensor '%.*s' has type %" PRIu64
            "; F32 (0), F16 (1), I8 (24), I32 (26) and BF16 (30) are read",
            c->file, (int)tensor->name.n, tensor->name.bytes, number);
    tensor->bytes = tensor->n * bytes;
    TRY(read_uint(c, 8, "a tensor's offset", &tensor->offset, error));
fail:
    return status;
}

static sqz_status read_tensors(cursor *c, sqzi_gguf *gguf, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    for (uint32_t i = 0; i < gguf->n_tensors; i++) {
        sqzi_gguf_tensor *tensor = &gguf->tensors[i];
        const uint64_t at = place(c);
        TRY(read_tensor(c, tensor, error));
        uint32_t *slot = find_slot(gguf->tensor_slots, gguf->n_tensor_slots, &gguf->tensors->name,
                                   sizeof *tensor, tensor->name);
        FAIL_IF(*slot, SQZ_EFORMAT, at,
                "%s: the tensor '%.*s' comes twice, the second time at byte %" PRIu64, c->file,
                (int)tensor->name.n, tensor->name.bytes, at);
        FAIL_IF(is_crowded(gguf->tensor_slots, gguf->n_tensor_slots, slot, tensor->name),
                SQZ_ELIMIT, at, "%s: tensor names made to collide", c->file);
        *slot = i + 1;
    }
fail:
    return status;
}

/* Offsets in the file count from the end of the header; make them count from the begin of the file,
 * and look at each range. Tensors lie in the order of the list, so one pass finds any overlap. */
static sqz_status place_tensors(const cursor *c, sqzi_gguf *gguf, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const uint64_t data = (place(c) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    uint64_t end = data;
    gguf->data_begin = data;
    for (uint32_t i = 0; i < gguf->n_tensors; i++) {
        sqzi_gguf_tensor *tensor = &gguf->tensors[i];
        const int shown = (int)tensor->name.n;
        FAIL_IF(tensor->offset % ALIGNMENT, SQZ_EFORMAT, tensor->offset,
                "%s: tensor '%.*s' begins at %" PRIu64 " of the data, which is no multiple of 64",
                c->file, shown, tensor->name.bytes, tensor->offset);
        FAIL_IF(tensor->offset > UINT64_MAX - data ||
                    tensor->bytes > UINT64_MAX - data - tensor->offset ||
                    data + tensor->offset + tensor->bytes > c->file_bytes,
                SQZ_EFORMAT, c->file_bytes,
                "%s: tensor '%.*s' has %" PRIu64 " bytes at %" PRIu64
                " of the data, the file has %zu bytes: it was cut short; copy it again",
                c->file, shown, tensor->name.bytes, tensor->bytes, tensor->offset, c->file_bytes);
        tensor->offset += data;
        FAIL_IF(tensor->offset < end, SQZ_EFORMAT, tensor->offset,
                "%s: tensor '%.*s' at byte %" PRIu64
                " overlaps the one before it, which ends at %" PRIu64,
                c->file, shown, tensor->name.bytes, tensor->offset, end);
        end = tensor->offset + tensor->bytes;
        tensor->data = c->begin + tensor->offset;
    }
fail:
    return status;
}

static sqz_status read_counts(cursor *c, sqzi_gguf *gguf, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    uint64_t magic = 0, version = 0, tensors = 0, values = 0;
    TRY(read_uint(c, 4, "the file's magic", &magic, error));
    FAIL_IF(magic != 0x46554747u, SQZ_EFORMAT, 0,
            "%s: begins with other bytes than 'GGUF': not a model file; make one with 'squeezebert "
            "import'",
            c->file);
    TRY(read_uint(c, 4, "the version", &version, error));
    FAIL_IF(version != 3, SQZ_EUNSUPPORTED, 4, "%s: GGUF version %" PRIu64 ", this reads version 3",
            c->file, version);
    TRY(read_uint(c, 8, "the number of tensors", &tensors, error));
    TRY(read_uint(c, 8, "the number of metadata keys", &values, error));
    FAIL_IF(tensors > MAX_TENSORS, SQZ_ELIMIT, 8,
            "%s: says it holds %" PRIu64 " tensors, at most %d are allowed", c->file, tensors,
            MAX_TENSORS);
    FAIL_IF(values > MAX_VALUES, SQZ_ELIMIT, 16,
            "%s: says it holds %" PRIu64 " metadata keys, at most %d are allowed", c->file, values,
            MAX_VALUES);
    /* The least a key or tensor takes in the file, so that a false count cannot make us allocate
     * much. */
    FAIL_IF(tensors * 33 + values * 14 > (uint64_t)(c->end - c->at), SQZ_EFORMAT, 8,
            "%s: says it holds %" PRIu64 " tensors and %" PRIu64
            " metadata keys, which do not fit its %zu bytes",
            c->file, tensors, values, c->file_bytes);
    gguf->n_tensors = (uint32_t)tensors;
    gguf->n_values = (uint32_t)values;
fail:
    return status;
}

static uint32_t slots_for(uint32_t n)
{
    uint32_t slots = 4;
    while (slots < 2 * n) slots *= 2;
    return slots;
}

sqz_status sqzi_gguf_open(const sqz_allocator *allocator, const char *name, const void *data,
                          size_t bytes, sqzi_gguf **out, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    /* of an empty file; no offset may be added to NULL */
    const unsigned char *begin = data ? data : (const unsigned char *)"";
    cursor c = {name, begin, begin, begin + (bytes < MAX_HEADER_BYTES ? bytes : MAX_HEADER_BYTES),
                bytes};
    sqzi_gguf *gguf = sqzi_allocate_zeroed(allocator, 1, sizeof *gguf);
    FAIL_IF(!gguf, SQZ_ENOMEM, 0, "%s: no memory to read it", name);
    gguf->allocator = *allocator;
    FAIL_IF(bytes == 0, SQZ_EFORMAT, 0, "%s: the file is empty", name);
    TRY(read_counts(&c, gguf, error));
    gguf->n_value_slots = slots_for(gguf->n_values);
    gguf->n_tensor_slots = slots_for(gguf->n_tensors);
    gguf->values = sqzi_allocate_zeroed(allocator, gguf->n_values, sizeof *gguf->values);
    gguf->tensors = sqzi_allocate_zeroed(allocator, gguf->n_tensors, sizeof *gguf->tensors);
    gguf->value_slots = sqzi_allocate_zeroed(allocator, gguf->n_value_slots,
                                             sizeof *gguf->value_slots);
    gguf->tensor_slots = sqzi_allocate_zeroed(allocator, gguf->n_tensor_slots,
                                              sizeof *gguf->tensor_slots);
    FAIL_IF(!gguf->values || !gguf->tensors || !gguf->value_slots || !gguf->tensor_slots,
            SQZ_ENOMEM, 0, "%s: no memory for its header", name);
    TRY(read_values(&c, gguf, error));
    const sqzi_gguf_value *alignment = sqzi_gguf_find(gguf, "general.alignment");
    FAIL_IF(!alignment || alignment->is_array || alignment->type != SQZI_GGUF_U32 ||
                sqzi_gguf_uint(alignment, 0) != ALIGNMENT,
            SQZ_EUNSUPPORTED, 0, "%s: general.alignment must be the u32 64", name);
    TRY(read_tensors(&c, gguf, error));
    TRY(place_tensors(&c, gguf, error));
    *out = gguf;
    return SQZ_OK;
fail:
    sqzi_gguf_close(gguf);
    return status;
}

void sqzi_gguf_close(sqzi_gguf *gguf)
{
    if (!gguf) return;
    const sqz_allocator allocator = gguf->allocator;
    sqzi_release(&allocator, gguf->values, gguf->n_values * sizeof *gguf->values);
    sqzi_release(&allocator, gguf->tensors, gguf->n_tensors * sizeof *gguf->tensors);
    sqzi_release(&allocator, gguf->value_slots, gguf->n_value_slots * sizeof *gguf->value_slots);
    sqzi_release(&allocator, gguf->tensor_slots, gguf->n_tensor_slots * sizeof *gguf->tensor_slots);
    sqzi_release(&allocator, gguf, sizeof *gguf);
}

uint32_t sqzi_gguf_n_values(const sqzi_gguf *gguf)
{
    return gguf->n_values;
}

const sqzi_gguf_value *sqzi_gguf_value_at(const sqzi_gguf *gguf, uint32_t i)
{
    return i < gguf->n_values ? &gguf->values[i] : NULL;
}

uint64_t sqzi_gguf_data_begin(const sqzi_gguf *gguf)
{
    return gguf->data_begin;
}

uint32_t sqzi_gguf_n_tensors(const sqzi_gguf *gguf)
{
    return gguf->n_tensors;
}

const sqzi_gguf_tensor *sqzi_gguf_tensor_at(const sqzi_gguf *gguf, uint32_t i)
{
    return i < gguf->n_tensors ? &gguf->tensors[i] : NULL;
}

const sqzi_gguf_value *sqzi_gguf_find(const sqzi_gguf *gguf, const char *key)
{
    if (gguf->n_values == 0) return NULL;
    const uint32_t *slot = find_slot(gguf->value_slots, gguf->n_value_slots, &gguf->values->key,
                                     sizeof *gguf->values, sqzi_span_of(key));
    return *slot ? &gguf->values[*slot - 1] : NULL;
}

const sqzi_gguf_tensor *sqzi_gguf_find_tensor(const sqzi_gguf *gguf, const char *name)
{
    if (gguf->n_tensors == 0) return NULL;
    const uint32_t *slot = find_slot(gguf->tensor_slots, gguf->n_tensor_slots, &gguf->tensors->name,
                                     sizeof *gguf->tensors, sqzi_span_of(name));
    return *slot ? &gguf->tensors[*slot - 1] : NULL;
}

uint64_t sqzi_gguf_uint(const sqzi_gguf_value *value, uint64_t i)
{
    const size_t bytes = scalar_bytes(value->type);
    return load_uint(value->data + i * bytes, bytes);
}

double sqzi_gguf_float(const sqzi_gguf_value *value, uint64_t i)
{
    if (value->type == SQZI_GGUF_F32) {
        float x;
        memcpy(&x, value->data + i * sizeof x, sizeof x);
        return x;
    }
    double x;
    memcpy(&x, value->data + i * sizeof x, sizeof x);
    return x;
}

sqzi_span sqzi_gguf_next_string(const unsigned char **cursor_)
{
    const sqzi_span string = {(const char *)*cursor_ + 8, (size_t)load_uint(*cursor_, 8)};
    *cursor_ += 8 + string.n;
    return string;
}
