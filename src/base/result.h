#pragma once
// Errors as values. No function of ours throws for a thing that is expected to happen.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <tl/expected.hpp>

namespace penstock {

/// What kind of failure, as far as a program must know; the HTTP status follows from it.
enum class ErrorCode : uint8_t {
  kInvalidArgument,    ///< the request itself is wrong (400)
  kNotFound,           ///< no such thing (404)
  kAlreadyExists,      ///< the name is taken (409)
  kConflict,           ///< somebody changed it meanwhile (409)
  kUnauthenticated,    ///< who are you (401)
  kPermissionDenied,   ///< you may not (403)
  kResourceExhausted,  ///< a limit of the configuration is reached (429)
  kUnavailable,        ///< try again later (503)
  kCorrupt,            ///< stored bytes are not what was written (500)
  kIo,                 ///< the operating system refused (500)
  kTimeout,            ///< (504)
  kCancelled,          ///< the person asked to stop (499)
  kUnsupported,        ///< (501)
  kInternal,           ///< a defect of ours (500)
};

/// The field's short name of a code: "not_found". Stable: clients may compare it.
std::string_view name(ErrorCode code);

/// A failure, for the person who must act on it.
struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;  ///< one sentence: what is wrong and what to do about it
  std::string about;    ///< the device, topic, file or line it is about; may be empty

  /// "message (about)".
  [[nodiscard]] std::string text() const;
  friend bool operator==(const Error&, const Error&) = default;
};

template <class T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

[[nodiscard]] inline tl::unexpected<Error> fail(ErrorCode code, std::string message,
                                                std::string about = {}) {
  return tl::unexpected<Error>(Error{code, std::move(message), std::move(about)});
}
[[nodiscard]] inline tl::unexpected<Error> fail(Error error) {
  return tl::unexpected<Error>(std::move(error));
}

}  // namespace penstock

#define PENSTOCK_CONCAT_(a, b) a##b
#define PENSTOCK_CONCAT(a, b) PENSTOCK_CONCAT_(a, b)

/// Returns the error of a Status or Result to the caller, if it is one.
#define TRY(expression)                                                           \
  do {                                                                            \
    if (auto try_result_ = (expression); !try_result_)                            \
      return ::tl::unexpected<::penstock::Error>(std::move(try_result_).error()); \
  } while (false)

/// TRY_ASSIGN(auto x, f()): the value, or the error to the caller.
// NOLINTBEGIN(bugprone-macro-parentheses): `target` declares, which parentheses would forbid
#define TRY_ASSIGN(target, expression) \
  TRY_ASSIGN_(PENSTOCK_CONCAT(try_value_, __LINE__), target, expression)
#define TRY_ASSIGN_(temporary, target, expression)                                          \
  auto temporary = (expression);                                                            \
  if (!temporary) return ::tl::unexpected<::penstock::Error>(std::move(temporary).error()); \
  target = *std::move(temporary)
// NOLINTEND(bugprone-macro-parentheses)
