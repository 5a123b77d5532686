//! A bound on what a template may do: Handlebars knows none, so every block's inside begins with a call that counts.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use handlebars::{
    Context, Handlebars, Helper, HelperDef, HelperResult, Output, RenderContext, RenderError, RenderErrorReason, Template,
    template::{HelperTemplate, Parameter, TemplateElement, TemplateMapping},
};

/// The most steps one rendering may take: a text, a value or a call of a helper inside of blocks is one. A thousand jobs in five
/// hundred pieces each; on an ordinary machine, less than a second.
pub const STEPS: u64 = 500_000;
/// The longest one rendering of a user's template may take, where its steps are dear ones.
pub const LONGEST: Duration = Duration::from_secs(10);
/// The name of the call that counts. No template can make it, for it is no helper that the check of templates knows.
const NAME: &str = "step";

/// Puts the counting calls into a template.
pub(super) fn count(template: &mut Template) {
    for element in &mut template.elements {
        if let TemplateElement::HelperBlock(block) = element {
            for inside in [&mut block.template, &mut block.inverse].into_iter().flatten() {
                count(inside);
                // The pass itself is one, or loops over nothing would be free.
                let steps = 1 + inside.elements.iter().map(weight).sum::<u64>();
                begin(inside, steps);
            }
        }
    }
}

/// What is done for an element, without what is inside of its blocks.
fn weight(element: &TemplateElement) -> u64 {
    match element {
        TemplateElement::HelperBlock(call) | TemplateElement::Expression(call) => weight_of(call),
        _ => 1,
    }
}

fn weight_of(call: &HelperTemplate) -> u64 {
    let inner = |parameter: &Parameter| match parameter {
        Parameter::Subexpression(inner) => weight(inner.as_element()),
        _ => 0,
    };
    1 + call.params.iter().chain(call.hash.values()).map(inner).sum::<u64>()
}

fn begin(inside: &mut Template, steps: u64) {
    // Whatever is written here compiles: it is a name and a number.
    let Ok(mut call) = Template::compile(&format!("{{{{{NAME} {steps}}}}}")) else { return };
    let mut mapping = call.mapping.clone();
    if let Some(first) = inside.mapping.first() {
        mapping.fill(TemplateMapping::clone(first));
    }
    call.elements.append(&mut inside.elements);
    mapping.append(&mut inside.mapping);
    (inside.elements, inside.mapping) = (call.elements, mapping);
}

/// What one rendering has left.
pub(super) struct Budget {
    steps: AtomicU64,
    /// None: a built-in template. It is known to be quick, nothing stands behind it, and a machine that is busy, or was asleep, must not
    /// cost an alert its words.
    until: Option<Instant>,
}

impl Budget {
    pub(super) fn of_users() -> Self {
        Self { steps: AtomicU64::new(STEPS), until: Some(Instant::now() + LONGEST) }
    }

    pub(super) fn of_built_in() -> Self {
        Self { steps: AtomicU64::new(STEPS), until: None }
    }

    /// Lets the counting calls of a rendering count down this budget.
    pub(super) fn govern<'rc>(&'rc self, rendering: &mut RenderContext<'_, 'rc>) {
        rendering.register_local_helper(NAME, Box::new(Step(self)));
    }
}

struct Step<'b>(&'b Budget);

impl HelperDef for Step<'_> {
    fn call<'reg: 'rc, 'rc>(
        &self,
        h: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
        _: &mut dyn Output,
    ) -> HelperResult {
        let steps = h.param(0).and_then(|steps| steps.value().as_u64()).unwrap_or(1);
        let left = self.0.steps.load(Ordering::Relaxed).checked_sub(steps).ok_or_else(|| too_many(self.0))?;
        self.0.steps.store(left, Ordering::Relaxed);
        if self.0.until.is_some_and(|until| Instant::now() > until) {
            return Err(too_long());
        }
        Ok(())
    }
}

fn too_many(budget: &Budget) -> RenderError {
    if budget.until.is_none() {
        // What is built in loops over nothing but its entries: with fewer of them it has room.
        return RenderErrorReason::IOError(io::ErrorKind::FileTooLarge.into()).into();
    }
    RenderErrorReason::Other(format!("the template takes more than {STEPS} steps: it loops over too much")).into()
}

fn too_long() -> RenderError {
    RenderErrorReason::Other(format!("the template takes longer than {} s", LONGEST.as_secs())).into()
}

#[cfg(test)]
mod tests {
    use handlebars::Renderable;

    use super::*;

    #[test]
    fn each_inside_of_a_block_counts_what_is_in_it() {
        let mut template =
            Template::compile("{{#each jobs}}a{{#if (eq id (upper \"x\"))}}{{id}}{{else}}b{{/if}}{{/each}}{{count}}").unwrap();
        count(&mut template);
        assert_eq!(template.elements.len(), 2, "what stands outside of blocks is bounded by the file's size");
        let TemplateElement::HelperBlock(each) = &template.elements[0] else { panic!("{template:?}") };
        let inside = each.template.as_ref().unwrap();
        assert_eq!(inside.elements.len(), inside.mapping.len());
        // The pass, the text, and the block with its two helpers.
        let expected = Template::compile("{{step 5}}").unwrap().elements;
        assert_eq!(inside.elements[0], expected[0]);
    }

    fn counted(budget: &Budget, steps: u64) -> Result<String, RenderError> {
        let registry = Handlebars::new();
        let template = Template::compile(&format!("{{{{{NAME} {steps}}}}}done")).unwrap();
        let (context, mut rendering) = (Context::null(), RenderContext::new(None));
        budget.govern(&mut rendering);
        template.renders(&registry, &context, &mut rendering)
    }

    #[test]
    fn time_bounds_a_users_template_and_never_a_built_in_one() {
        let late = Budget { until: Some(Instant::now()), ..Budget::of_users() };
        std::thread::sleep(Duration::from_millis(2));
        assert!(counted(&late, 1).unwrap_err().reason().to_string().contains("takes longer than 10 s"));
        assert_eq!(Budget::of_built_in().until, None);
        assert_eq!(counted(&Budget::of_built_in(), STEPS).unwrap(), "done");
    }

    #[test]
    fn too_many_steps_are_a_users_fault_and_of_a_built_in_template_a_reason_to_name_less() {
        let users = counted(&Budget::of_users(), STEPS + 1).unwrap_err();
        assert!(users.reason().to_string().contains("it loops over too much"), "{users}");
        let built_in = counted(&Budget::of_built_in(), STEPS + 1).unwrap_err();
        assert!(matches!(built_in.reason(), RenderErrorReason::IOError(io) if io.kind() == io::ErrorKind::FileTooLarge), "{built_in}");
    }
}
