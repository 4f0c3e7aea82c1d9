/* SPDX-License-Identifier: BSD-3-Clause */
/* The framing of saved states: docs/state-format.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "blob.h"

static const BlobFormat format = {"test_load", "TESTFORM", 2};

/* What a release knows. */
typedef struct Known {
    BlobSection main, extra;
} Known;

static Known known(void)
{
    return (Known){{.tag = "MAIN"}, {.tag = "XTRA", .optional = true}};
}

static GBytes *write_sections(const BlobFormat *of, const char *const *tags, uint32_t flags)
{
    BlobWriter writer;

    blob_begin(&writer, of, 64);
    for (; *tags; tags++) {
        blob_section(&writer, *tags, flags);
        blob_put_u8(&writer, 0x12);
        blob_put_u16(&writer, 0x3456);
        blob_put_u32(&writer, 0x789abcde);
        blob_put_u64(&writer, 0xfedcba9876543210);
        blob_put(&writer, "abc", 3);
    }
    return blob_end(&writer);
}

#define WRITE(...) write_sections(&format, (const char *const[]){__VA_ARGS__, NULL}, 0)

static uint32_t open_it(GBytes *bytes, Known *sections, GError **error)
{
    *sections = known();
    return blob_open(&format, bytes, &sections->main, 2, error);
}

static void assert_refused(GBytes *bytes, const char *because)
{
    g_autoptr(GError) error = NULL;
    Known sections;

    assert_int_equal(open_it(bytes, &sections, &error), 0);
    assert_true(g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_STATE));
    assert_non_null(strstr(error->message, "test_load"));
    if (!strstr(error->message, because))
        fail_msg("\"%s\" does not say \"%s\"", error->message, because);
    g_bytes_unref(bytes);
}

/* A copy with len bytes from `at` on replaced, and a checksum that is right again. */
static GBytes *changed(GBytes *from, size_t at, const void *bytes, size_t len)
{
    size_t size = g_bytes_get_size(from);
    uint8_t *copy = g_memdup2(g_bytes_get_data(from, NULL), size);
    uint32_t checksum;

    memcpy(copy + at, bytes, len);
    checksum = GUINT32_TO_LE(blob_checksum(copy, size - BLOB_CHECKSUM_SIZE));
    memcpy(copy + size - BLOB_CHECKSUM_SIZE, &checksum, sizeof(checksum));
    g_bytes_unref(from);
    return g_bytes_new_take(copy, size);
}

static void the_checksum_is_crc_32c(void **state)
{
    (void)state;
    assert_int_equal(blob_checksum((const uint8_t *)"123456789", 9), 0xe3069283);
    assert_int_equal(blob_checksum(NULL, 0), 0);
}

static void what_was_written_is_read_in_the_same_order(void **state)
{
    g_autoptr(GBytes) bytes = WRITE("MAIN");
    Known sections;
    BlobReader *reader = &sections.main.reader;

    (void)state;
    assert_int_equal(open_it(bytes, &sections, NULL), 2);
    assert_int_equal(blob_get_u8(reader), 0x12);
    assert_int_equal(blob_get_u16(reader), 0x3456);
    assert_int_equal(blob_get_u32(reader), 0x789abcde);
    assert_int_equal(blob_get_u64(reader), 0xfedcba9876543210);
    assert_int_equal(blob_left(reader), 3);
    assert_memory_equal(blob_get(reader, 3), "abc", 3);
    assert_true(blob_close(&sections.main, NULL));
}

static void integers_are_little_endian(void **state)
{
    static const uint8_t expected[] = {'M', 'A', 'I',  'N',  0,    0,    0,    0,    18,  0,
                                       0,   0,   0x12, 0x56, 0x34, 0xde, 0xbc, 0x9a, 0x78};
    g_autoptr(GBytes) bytes = WRITE("MAIN");
    const uint8_t *data = g_bytes_get_data(bytes, NULL);

    (void)state;
    assert_memory_equal(data, "TESTFORM\2\0\0\0\62\0\0\0", BLOB_HEADER_SIZE);
    assert_memory_equal(data + BLOB_HEADER_SIZE, expected, sizeof(expected));
}

static void sections_may_come_in_any_order(void **state)
{
    g_autoptr(GBytes) bytes = WRITE("XTRA", "MAIN");
    Known sections;

    (void)state;
    assert_int_equal(open_it(bytes, &sections, NULL), 2);
    assert_true(sections.extra.present);
}

static void an_optional_section_may_be_missing(void **state)
{
    g_autoptr(GBytes) bytes = WRITE("MAIN");
    Known sections;

    (void)state;
    assert_int_equal(open_it(bytes, &sections, NULL), 2);
    assert_false(sections.extra.present);
    assert_int_equal(blob_left(&sections.extra.reader), 0);
}

static void a_missing_section_is_refused_by_name(void **state)
{
    (void)state;
    assert_refused(WRITE("XTRA"), "MAIN");
}

static void a_missing_section_is_refused_whichever_it_is(void **state)
{
    BlobSection sections[] = {{.tag = "XTRA"}, {.tag = "MAIN"}};
    g_autoptr(GBytes) bytes = WRITE("XTRA");
    g_autoptr(GError) error = NULL;

    (void)state;
    assert_int_equal(blob_open(&format, bytes, sections, 2, &error), 0);
    assert_non_null(strstr(error->message, "section MAIN is missing"));
}

static void what_sections_held_before_does_not_matter(void **state)
{
    static const uint8_t old[8];
    const BlobReader left_over = {old, old + sizeof(old), true};
    g_autoptr(GBytes) bytes = WRITE("MAIN");
    Known sections = known();

    (void)state;
    sections.main.present = sections.extra.present = true;
    sections.main.reader = sections.extra.reader = left_over;
    assert_int_equal(blob_open(&format, bytes, &sections.main, 2, NULL), 2);
    assert_int_equal(blob_get_u8(&sections.main.reader), 0x12);
    assert_false(sections.extra.present);
    assert_int_equal(blob_left(&sections.extra.reader), 0);
}

static void a_section_that_comes_twice_is_refused_by_name(void **state)
{
    (void)state;
    assert_refused(WRITE("MAIN", "XTRA", "MAIN"), "MAIN");
}

static void an_unknown_section_is_refused_by_name(void **state)
{
    (void)state;
    assert_refused(WRITE("MAIN", "LATE"), "LATE");
    assert_refused(WRITE("MAIN", "L\n\xff%"), "L??%");
}

static void an_unknown_section_that_may_be_skipped_is(void **state)
{
    const char *const tags[] = {"MAIN", "LATE", NULL};
    g_autoptr(GBytes) bytes = write_sections(&format, tags, BLOB_SKIPPABLE);
    Known sections;

    (void)state;
    assert_int_equal(open_it(bytes, &sections, NULL), 2);
}

static void an_unknown_flag_of_a_section_is_refused(void **state)
{
    (void)state;
    assert_refused(changed(WRITE("MAIN"), BLOB_HEADER_SIZE + 4, "\2", 1), "flags are 0x2");
    assert_refused(changed(WRITE("MAIN"), BLOB_HEADER_SIZE + 7, "\200", 1), "0x80000000");
}

static void an_older_version_is_told_to_the_reader(void **state)
{
    const BlobFormat older = {"", "TESTFORM", 1};
    const char *const tags[] = {"MAIN", NULL};
    g_autoptr(GBytes) bytes = write_sections(&older, tags, 0);
    Known sections;

    (void)state;
    assert_int_equal(open_it(bytes, &sections, NULL), 1);
}

static void a_newer_version_and_version_0_are_refused(void **state)
{
    (void)state;
    assert_refused(changed(WRITE("MAIN"), 8, "\3\0\0\0", 4), "version is 3");
    assert_refused(changed(WRITE("MAIN"), 8, "\0\0\0\0", 4), "version is 0");
}

static void another_magic_is_refused(void **state)
{
    (void)state;
    assert_refused(changed(WRITE("MAIN"), 7, "X", 1), "TESTFORM");
    assert_refused(g_bytes_new_static("QEVM", 4), "too few");
    assert_refused(g_bytes_new_static(NULL, 0), "too few");
}

static void every_bit_counts(void **state)
{
    g_autoptr(GBytes) bytes = WRITE("MAIN", "XTRA");
    size_t size = g_bytes_get_size(bytes);

    (void)state;
    for (size_t bit = 0; bit < 8 * size; bit++) {
        uint8_t *copy = g_memdup2(g_bytes_get_data(bytes, NULL), size);

        copy[bit / 8] ^= 1 << (bit % 8);
        assert_refused(g_bytes_new_take(copy, size), "");
    }
}

static void every_truncation_is_refused(void **state)
{
    g_autoptr(GBytes) bytes = WRITE("MAIN", "XTRA");

    (void)state;
    /* A copy of just this size: AddressSanitizer sees a read beyond it. */
    for (size_t size = 0; size < g_bytes_get_size(bytes); size++)
        assert_refused(g_bytes_new(g_bytes_get_data(bytes, NULL), size), "");
}

static void trailing_bytes_are_refused(void **state)
{
    g_autoptr(GBytes) bytes = WRITE("MAIN");
    GByteArray *longer = g_byte_array_new();

    (void)state;
    g_byte_array_append(longer, g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
    g_byte_array_append(longer, (const uint8_t *)"", 1);
    assert_refused(g_byte_array_free_to_bytes(longer), "51 bytes");
}

/* With a checksum that is right. */
static void a_section_that_reaches_beyond_the_end_is_refused(void **state)
{
    size_t length = BLOB_HEADER_SIZE + 8;

    (void)state;
    assert_refused(changed(WRITE("MAIN"), length, "\23\0\0\0", 4), "beyond");
    assert_refused(changed(WRITE("MAIN"), length, "\xff\xff\xff\xff", 4), "beyond");
    assert_refused(changed(WRITE("MAIN"), length, "\20\0\0\0", 4), "beyond"); /* half a header */
}

static void a_section_without_its_bytes_is_refused(void **state)
{
    static const uint8_t length[] = {1, 0, 0, 0};
    BlobWriter writer;

    (void)state;
    blob_begin(&writer, &format, 64);
    blob_section(&writer, "MAIN", 0);
    assert_refused(changed(blob_end(&writer), BLOB_HEADER_SIZE + 8, length, sizeof(length)),
                   "reaches beyond the end");
}

static void a_state_may_have_no_section(void **state)
{
    g_autoptr(GBytes) bytes = WRITE(NULL);

    (void)state;
    assert_int_equal(blob_open(&format, bytes, NULL, 0, NULL), 2);
}

static void a_reader_that_asks_for_more_gets_zeros_and_fails(void **state)
{
    g_autoptr(GBytes) bytes = WRITE("MAIN");
    g_autoptr(GError) error = NULL;
    Known sections;
    BlobReader *reader = &sections.main.reader;

    (void)state;
    open_it(bytes, &sections, NULL);
    assert_non_null(blob_get(reader, 17));
    assert_int_equal(blob_get_u16(reader), 0);
    assert_int_equal(blob_get_u8(reader), 0);
    assert_null(blob_get(reader, SIZE_MAX));
    assert_false(blob_close(&sections.main, &error));
    assert_true(g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_STATE));
    assert_string_equal(error->message, "test_load: section MAIN is too short");
}

static void a_section_with_bytes_left_is_refused(void **state)
{
    g_autoptr(GBytes) bytes = WRITE("MAIN");
    g_autoptr(GError) error = NULL;
    Known sections;

    (void)state;
    open_it(bytes, &sections, NULL);
    blob_get(&sections.main.reader, 16);
    assert_false(blob_close(&sections.main, &error));
    assert_string_equal(error->message, "test_load: section MAIN is 2 bytes too long");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_checksum_is_crc_32c),
        cmocka_unit_test(what_was_written_is_read_in_the_same_order),
        cmocka_unit_test(integers_are_little_endian),
        cmocka_unit_test(sections_may_come_in_any_order),
        cmocka_unit_test(an_optional_section_may_be_missing),
        cmocka_unit_test(a_missing_section_is_refused_by_name),
        cmocka_unit_test(a_missing_section_is_refused_whichever_it_is),
        cmocka_unit_test(what_sections_held_before_does_not_matter),
        cmocka_unit_test(a_section_that_comes_twice_is_refused_by_name),
        cmocka_unit_test(an_unknown_section_is_refused_by_name),
        cmocka_unit_test(an_unknown_section_that_may_be_skipped_is),
        cmocka_unit_test(an_unknown_flag_of_a_section_is_refused),
        cmocka_unit_test(an_older_version_is_told_to_the_reader),
        cmocka_unit_test(a_newer_version_and_version_0_are_refused),
        cmocka_unit_test(another_magic_is_refused),
        cmocka_unit_test(every_bit_counts),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(trailing_bytes_are_refused),
        cmocka_unit_test(a_section_that_reaches_beyond_the_end_is_refused),
        cmocka_unit_test(a_section_without_its_bytes_is_refused),
        cmocka_unit_test(a_state_may_have_no_section),
        cmocka_unit_test(a_reader_that_asks_for_more_gets_zeros_and_fails),
        cmocka_unit_test(a_section_with_bytes_left_is_refused),
    };

    return cmocka_run_group_tests_name("blob", tests, NULL, NULL);
}
