#pragma once
// From metrics to wire values: names instead of aliases, datatypes, quality, templates flattened.
// docs/sparkplug.md has the table. One reader a thread; allocates nothing once warm.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "interop/sparkplug/payload.h"
#include "stream/report.h"

namespace penstock::interop::sparkplug {

/// What a birth told of a metric.
struct KnownMetric {
  std::string address;
  DataType type = DataType::kUnknown;
  uint64_t alias = 0;
  bool has_alias = false;
  bool member = false;  ///< of a template instance
};

/// The metrics of one birth certificate, of a node or of a device: what DATA may refer to.
class Dictionary {
 public:
  /// The last one of a name or an alias counts.
  void add(KnownMetric metric);
  void clear();
  [[nodiscard]] const KnownMetric* by_alias(uint64_t alias) const;
  [[nodiscard]] const KnownMetric* by_name(std::string_view address) const;
  [[nodiscard]] size_t size() const { return metrics_.size(); }
  [[nodiscard]] const std::vector<KnownMetric>& metrics() const { return metrics_; }

 private:
  struct TextHash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  std::vector<KnownMetric> metrics_;
  std::unordered_map<std::string, uint32_t, TextHash, std::equal_to<>> names_;
  std::unordered_map<uint64_t, uint32_t> aliases_;
};

/// Why a metric gave no value.
enum class MetricReject : uint8_t {
  kNone,
  kMalformed,     ///< its bytes are no metric, property set, dataset or template
  kNoName,        ///< neither name nor alias
  kUnknownAlias,  ///< that no birth told
  kUnknownType,   ///< neither it nor the birth says how to read the integer
  kNotText,       ///< not UTF-8
  kUnreadable,    ///< the value is not of its datatype's kind, or is an extension
  kTooLarge,      ///< more text, members or levels than the limits allow
};
std::string_view name(MetricReject reject);

struct ValueLimits {
  size_t values_max = 100'000;       ///< a message
  size_t text_bytes_max = 4U << 20;  ///< made of a message: arrays, datasets, addresses of members
  size_t template_depth_max = 8;
};

/// What became of a message's metrics.
struct MetricOutcome {
  uint32_t rejected = 0;
  uint32_t transient = 0;    ///< not to be stored, says the node: left out
  uint32_t definitions = 0;  ///< of templates: no values
  MetricReject first_reject = MetricReject::kNone;
  std::string_view first_about;  ///< name of the first rejected one; valid as long as the values
  uint64_t first_alias = 0;
};

class MetricValues {
 public:
  explicit MetricValues(ValueLimits limits = {}) : limits_(limits) {}

  void clear();
  /// Appends the values of one metric; an alias is looked up in `known`. `fallback_ms`: the
  /// payload's timestamp, for a metric without one; 0: none. The metric's bytes and `known` must
  /// outlive the values.
  void add(const Metric& metric, const Dictionary& known, uint64_t fallback_ms);
  /// All metrics of a payload. False where it ends early: nothing of it should be used.
  bool add_all(ByteView payload, const Dictionary& known, uint64_t fallback_ms);
  /// What add() has appended. Valid until the next clear() or add().
  [[nodiscard]] std::span<stream::WireValue> values();
  [[nodiscard]] const MetricOutcome& outcome() const { return outcome_; }
  /// Appends what `birth`, an NBIRTH or DBIRTH, tells of its metrics. False: malformed or too many.
  [[nodiscard]] bool learn(ByteView birth, size_t metrics_max, Dictionary& into) const;

 private:
  struct Piece {
    uint32_t value;  // index
    bool is_address;
    uint32_t at, size;
  };
  struct Item {  // a metric on its way, its address resolved
    std::string_view address;
    bool made = false;  // the address lies in text_
    uint32_t at = 0;
    DataType type = DataType::kUnknown;
    uint64_t timestamp_ms = 0;
    stream::Quality quality = stream::Quality::kGood;
    bool null = false;
  };

  MetricReject take(const Metric& metric, const Dictionary& known, uint64_t fallback_ms,
                    std::string_view prefix, size_t depth);
  MetricReject resolve(const Metric& metric, const Dictionary& known, std::string_view prefix,
                       Item& item);
  MetricReject take_template(const Metric& metric, const Dictionary& known, const Item& item,
                             size_t depth);
  MetricReject take_parameters(ByteView message, const Item& item, std::string_view prefix);
  MetricReject put(const Item& item, const WireScalar& scalar);
  MetricReject make_text(const Item& item, const WireScalar& scalar, stream::WireValue& value);
  [[nodiscard]] bool learn_members(const Metric& metric, const std::string& address,
                                   size_t metrics_max, size_t depth, Dictionary& into) const;
  void reject(MetricReject why, const Metric& metric);

  ValueLimits limits_;
  MetricOutcome outcome_;
  std::vector<stream::WireValue> values_;
  std::vector<Piece> pieces_;
  std::string text_;  // what was made: addresses of members, arrays, dates
};

/// One scalar as a number, truth or text; false: it is not of the datatype's kind. `wide` is set
/// where a UInt64 is above what an integer holds: it is then a double.
bool scalar_value(DataType type, const WireScalar& scalar, stream::WireValue& out);

/// Ignition's and OPC's codes (6.4.12: 192 good, 500 stale, 0 bad).
stream::Quality quality_of_code(int64_t code);

}  // namespace penstock::interop::sparkplug
