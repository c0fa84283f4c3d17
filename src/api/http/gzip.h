#pragma once
// Content-Encoding: gzip of a request's body.

#include <string>
#include <string_view>

#include "base/result.h"

namespace penstock::api {

/// Inflates gzip or zlib. kInvalidArgument: no such bytes; kResourceExhausted: more than
/// `bytes_max` come out.
Result<std::string> gunzip(std::string_view bytes, size_t bytes_max);

}  // namespace penstock::api
