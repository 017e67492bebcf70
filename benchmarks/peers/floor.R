# Pooled fits: the floor, and what everybody is measured against.
#     Rscript floor.R TASK ROWS OUT
# TASK is logistic, cox (strata are centres), cox-whole (one stratum) or km. Times are of
# the fit as its user calls it; then it is begun again from where it stopped until nothing
# changes, which is what everybody is measured against ("pooled").
suppressPackageStartupMessages(library(survival))
words <- commandArgs(TRUE)
d <- read.csv(words[2])
exact <- function(x) paste0("[", paste(format(x, digits = 17), collapse = ","), "]")
tight <- suppressWarnings(coxph.control(eps = 1e-15, iter.max = 50))
begun <- proc.time()
if (words[1] == "logistic") {
  m <- glm(disease ~ age + sex + trestbps + thalch + exang + oldpeak, binomial, d)
} else if (words[1] == "cox") {
  m <- coxph(Surv(time, event) ~ num_age + num_begin + fac_disease + strata(center), d,
             ties = "efron")
} else if (words[1] == "cox-whole") {
  m <- coxph(Surv(time, event) ~ num_age + num_begin + fac_disease, d,
             ties = "efron")
} else {
  m <- survfit(Surv(time, event) ~ 1, d)
}
took <- proc.time() - begun
exactly <- m
if (words[1] == "logistic") {
  exactly <- update(m, control = glm.control(epsilon = 1e-15, maxit = 100))
} else if (words[1] != "km") {
  for (again in 1:3) {
    start <- coef(exactly)
    exactly <- update(m, init = start, control = tight)
  }
}
found <- if (words[1] == "km") {
  paste0('"time":', exact(m$time), ',"survival":', exact(m$surv), ',"rounds":0')
} else {
  rounds <- if (is.null(m$iter) || length(m$iter) > 1) 0 else m$iter
  paste0('"estimate":', exact(coef(m)), ',"pooled":{"estimate":', exact(coef(exactly)),
         ',"se":', exact(sqrt(diag(vcov(exactly)))), '},"rounds":', rounds)
}
cat("{", found, ',"seconds":', took[["elapsed"]], ',"processor":',
    took[["user.self"]] + took[["sys.self"]], "}", sep = "", file = words[3])
