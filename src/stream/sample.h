#pragma once
// A sample: one value of one element of one twin at one moment. The unit of everything above.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "twin/value.h"

namespace penstock::stream {

using twin::Quality;
using twin::ValueKind;

/// Where a text value lies in its batch's text.
struct TextRef {
  uint32_t offset;
  uint32_t length;
};

/// 32 bytes; packed in the journal (docs/journal-format.md).
/// Identity is (series, source_time): a second one with the same identity replaces the first.
struct Sample {
  SeriesId series;
  ValueKind kind = ValueKind::kDouble;
  Quality quality = Quality::kGood;
  uint16_t reserved = 0;
  Timestamp source_time;    ///< when the device measured it
  Timestamp received_time;  ///< when we read it
  union {
    double number = 0;
    int64_t integer;
    bool boolean;  ///< the other bytes are zero
    TextRef text;  ///< kText, kObject
  };

  /// Numeric view for rules and models: integer and boolean as numbers, text as NaN.
  [[nodiscard]] double as_number() const;
};
static_assert(sizeof(Sample) == 32 && std::is_trivially_copyable_v<Sample>);

inline double Sample::as_number() const {
  switch (kind) {
    case ValueKind::kDouble:
      return number;
    case ValueKind::kInteger:
      return static_cast<double>(integer);
    case ValueKind::kBoolean:
      return boolean ? 1 : 0;
    default:
      return __builtin_nan("");
  }
}

/// Samples with the text their kText/kObject values refer to. Views; not kept beyond the call.
struct SampleView {
  std::span<const Sample> samples;
  std::string_view text;

  [[nodiscard]] std::string_view text_of(const Sample& sample) const {
    return text.substr(sample.text.offset, sample.text.length);
  }
};

}  // namespace penstock::stream
