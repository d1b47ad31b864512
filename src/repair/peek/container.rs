//! The containers of an answer whose members are looked at.

/// The container whose members or elements are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AnswerContainer {
    Top,
    Result,
    Usage,
    Choices,
    Choice,
    Message,
    ToolCalls,
    ToolCall,
    Function,
}

impl AnswerContainer {
    /// How deep what it holds stands.
    pub(super) fn depth(self) -> u32 {
        match self {
            Self::Top => 1,
            Self::Result | Self::Usage | Self::Choices => 2,
            Self::Choice => 3,
            Self::Message => 4,
            Self::ToolCalls => 5,
            Self::ToolCall => 6,
            Self::Function => 7,
        }
    }

    /// What it stands in.
    pub(super) fn outer(self) -> Self {
        match self {
            Self::Top | Self::Result | Self::Usage | Self::Choices => Self::Top,
            Self::Choice => Self::Choices,
            Self::Message => Self::Choice,
            Self::ToolCalls => Self::Message,
            Self::ToolCall => Self::ToolCalls,
            Self::Function => Self::ToolCall,
        }
    }
}
