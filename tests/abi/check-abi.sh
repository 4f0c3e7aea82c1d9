#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# What scripts/check-abi accepts, and what not.
# check-abi.sh CHECK-ABI LIBRARY LIBRARY-WITH-LARGER-STRUCTS LIBRARY-WITHOUT-KVM
set -u
check_abi=$1 today=$2 grown=$3 core=$4
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# compare RELEASED LATER: the status of the check.
compare() {
    local abi=$tmp/${1##*/}.abi
    [ -e "$abi" ] || VCPUHP_ABI=$abi "$check_abi" -w "$1" || return 99
    VCPUHP_ABI=$abi "$check_abi" "$2"
}

# run TEST: each test is a function, whose name is the test's.
number=0
run() {
    number=$((number + 1))
    if "$1" >"$tmp/log" 2>&1; then
        echo "ok $number - $1"
    else
        echo "not ok $number - $1"
        sed 's/^/# /' "$tmp/log"
    fi
}

the_same_library_is_compatible() { compare "$today" "$today"; }
structs_may_grow_at_the_end() { compare "$today" "$grown"; }
new_functions_are_allowed() { compare "$core" "$today"; }

a_struct_that_loses_a_field_is_not() {
    compare "$grown" "$today"
    [ $? = 4 ]
}

a_library_that_loses_functions_is_not() {
    compare "$today" "$core"
    [ $? = 12 ]
}

# type_of PARAMETER: the id of its type.
type_of() {
    sed -n "s/.*<parameter type-id='\([^']*\)' name='$1'.*/\1/p" "$tmp/${today##*/}.abi" | head -n 1
}

# edit EXPRESSION: the status of the check if the released ABI was another one.
edit() {
    sed "$1" "$tmp/${today##*/}.abi" >"$tmp/edited.abi"
    cmp -s "$tmp/${today##*/}.abi" "$tmp/edited.abi" && return 99
    VCPUHP_ABI=$tmp/edited.abi "$check_abi" "$today"
}

a_field_inside_a_struct_that_changes_is_not() {
    edit "s/<var-decl name='retry_ms' type-id='[^']*'/<var-decl name='retry_ms' type-id='$(type_of hp)'/"
    [ $? = 4 ]
}

# The released struct had no last field, threads.
a_struct_without_size_that_grows_is_not() {
    edit "/<class-decl name='VcpuhpTopology'/ s/size-in-bits='128'/size-in-bits='96'/
        /<class-decl name='VcpuhpTopology'/,/<\/class-decl>/ \
            { /offset-in-bits='96'/,/<\/data-member>/d }"
    [ $? = 4 ]
}

an_enumeration_may_grow_at_the_end() { edit "/name='VCPUHP_POWER_ON'/d"; }

an_enumerator_that_changes_is_not() {
    edit "s/name='VCPUHP_POWER_ON' value='[0-9]*'/name='VCPUHP_POWER_ON' value='99'/"
    [ $? = 4 ]
}

a_parameter_that_changes_is_not() {
    edit "/<function-decl name='vcpuhp_cancel'/,/<return/ \
        s/type-id='[^']*' name='request'/type-id='$(type_of hp)' name='request'/"
    [ $? = 4 ]
}

without_a_release_the_check_is_skipped() {
    VCPUHP_ABI=$tmp/none.abi "$check_abi" "$today"
    [ $? = 77 ]
}

echo 1..11
run the_same_library_is_compatible
run structs_may_grow_at_the_end
run new_functions_are_allowed
run a_struct_that_loses_a_field_is_not
run a_library_that_loses_functions_is_not
run a_field_inside_a_struct_that_changes_is_not
run a_struct_without_size_that_grows_is_not
run an_enumeration_may_grow_at_the_end
run an_enumerator_that_changes_is_not
run a_parameter_that_changes_is_not
run without_a_release_the_check_is_skipped
