/* SPDX-License-Identifier: BSD-3-Clause */
/* Structs of callers that were compiled with an older or a newer release. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "sized.h"

/* A struct in three releases. */
typedef struct First {
    size_t size;
    uint64_t a;
} First;

typedef struct Second {
    size_t size;
    uint64_t a, b;
} Second;

typedef struct Third {
    size_t size;
    uint64_t a, b, c;
} Third;

#define FIRST SIZED_FIRST(Second, a)

static void assert_error(GError *error, const char *size, const char *known)
{
    assert_true(g_error_matches(error, VCPUHP_ERROR, VCPUHP_ERROR_STRUCT));
    assert_non_null(strstr(error->message, "Name"));
    assert_non_null(strstr(error->message, size));
    assert_non_null(strstr(error->message, known));
    g_error_free(error);
}

static void an_older_callers_struct_keeps_the_defaults_of_what_it_lacks(void **state)
{
    const First from = {.size = sizeof(from), .a = 1};
    Second to = {.a = 5, .b = 6};

    (void)state;
    assert_true(sized_copy_in(&to, sizeof(to), &from, FIRST, "Name", NULL));
    assert_int_equal(to.size, sizeof(to));
    assert_int_equal(to.a, 1);
    assert_int_equal(to.b, 6);
}

static void a_newer_callers_struct_is_taken_if_it_asks_for_nothing_unknown(void **state)
{
    const Third from = {.size = sizeof(from), .a = 1, .b = 2};
    Second to = {0};

    (void)state;
    assert_true(sized_copy_in(&to, sizeof(to), &from, FIRST, "Name", NULL));
    assert_int_equal(to.size, sizeof(to));
    assert_int_equal(to.b, 2);
}

static void a_newer_callers_struct_that_asks_for_more_is_refused_with_both_sizes(void **state)
{
    const Third from = {.size = sizeof(from), .a = 1, .b = 2, .c = 3};
    Second to = {.a = 5};
    GError *error = NULL;

    (void)state;
    assert_false(sized_copy_in(&to, sizeof(to), &from, FIRST, "Name", &error));
    assert_error(error, "32", "24");
    assert_int_equal(to.a, 5);
}

static void a_size_that_no_release_had_is_refused(void **state)
{
    Second to = {.a = 5}, from = {.a = 1};
    GError *error = NULL;

    (void)state;
    from.size = 8;
    assert_false(sized_copy_in(&to, sizeof(to), &from, FIRST, "Name", &error));
    assert_error(error, "is 8", "16");
    error = NULL;
    from.size = 4097;
    assert_false(sized_copy_in(&to, sizeof(to), &from, FIRST, "Name", &error));
    assert_error(error, "4097", "4096");
    error = NULL;
    from.size = SIZE_MAX;
    assert_false(sized_copy_out(&from, &to, sizeof(to), FIRST, "Name", &error));
    assert_error(error, "18446744073709551615", "4096");
    assert_int_equal(from.a, 1);
}

static void nothing_is_written_past_an_older_callers_struct(void **state)
{
    struct {
        First caller;
        uint64_t behind;
    } to = {.caller.size = sizeof(First), .behind = 7};
    const Second from = {.size = sizeof(from), .a = 1, .b = 2};

    (void)state;
    assert_true(sized_copy_out(&to.caller, &from, sizeof(from), FIRST, "Name", NULL));
    assert_int_equal(to.caller.size, sizeof(First));
    assert_int_equal(to.caller.a, 1);
    assert_int_equal(to.behind, 7);
}

static void what_a_newer_callers_struct_has_more_is_zeroed(void **state)
{
    Third to = {.size = sizeof(to), .c = 7};
    const Second from = {.size = sizeof(from), .a = 1, .b = 2};

    (void)state;
    assert_true(sized_copy_out(&to, &from, sizeof(from), FIRST, "Name", NULL));
    assert_int_equal(to.size, sizeof(to));
    assert_int_equal(to.b, 2);
    assert_int_equal(to.c, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_older_callers_struct_keeps_the_defaults_of_what_it_lacks),
        cmocka_unit_test(a_newer_callers_struct_is_taken_if_it_asks_for_nothing_unknown),
        cmocka_unit_test(a_newer_callers_struct_that_asks_for_more_is_refused_with_both_sizes),
        cmocka_unit_test(a_size_that_no_release_had_is_refused),
        cmocka_unit_test(nothing_is_written_past_an_older_callers_struct),
        cmocka_unit_test(what_a_newer_callers_struct_has_more_is_zeroed),
    };

    return cmocka_run_group_tests_name("sized", tests, NULL, NULL);
}
