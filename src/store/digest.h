#pragma once
// SHA-256 (FIPS 180-4), for names of contents and for secrets that are random enough not to need
// a slow hash.

#include <string>
#include <string_view>

namespace penstock::store {

/// Lower-case hexadecimal, 64 characters.
std::string sha256_hex(std::string_view content);

}  // namespace penstock::store
